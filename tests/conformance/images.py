"""The images that the conformance tests name, under their own names, as one archive to import."""

import re
import tarfile

from tools.image_archives import add, as_program, put

# How each image starts its program, which is all that it has; as `nonroot` of images without a distribution.
_PROGRAMS = {
    'echo-basic': {'Entrypoint': ['/echo-basic'], 'User': '65532:65532'},
    'coredns': {'Entrypoint': ['/coredns']},
}
_NAME = rb'registry\.k8s\.io/[a-z/-]+/%s:[\w.-]+'


def write(folder, target):
    """Write the archive, from the folder of the tests' programs: they hold the manifests that name the images."""
    tests = (folder / 'conformance.test').read_bytes()
    with tarfile.open(target, 'w') as archive:
        entries = []
        for program, config in _PROGRAMS.items():
            layer = target.with_name(f'{program}.tar')
            with tarfile.open(layer, 'w') as content:
                content.add(folder / program, program, filter=as_program)
            entry = add(archive, program, config, [layer])
            names = sorted({name.decode() for name in re.findall(_NAME % program.encode(), tests)})
            entries.append({**entry, 'RepoTags': names})
            archive.add(layer, layer.name)
            layer.unlink()
        put(archive, 'manifest.json', entries)
