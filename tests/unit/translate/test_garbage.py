"""Building leaves nothing for the collector of cyclic garbage, which would walk the whole model of a large cluster for it."""

import gc

from headrace.names import Ref
from headrace.objects import parse
from headrace.settings.settings import Settings
from headrace.store import Reader, Store
from headrace.translate import build_context, services
from support.objects import endpoint_slice, service

NAMES = [f'web-{number}' for number in range(20)]


def test_the_fragments_of_services_leave_no_cycles():
    store, context = Store(), build_context.make(Settings())
    for name in NAMES:
        annotations = {'host': f'{name}.example.com', 'allow': '10.0.0.0/8', 'request-headers': 'X-A: b'}
        for document in (service(name, annotations=annotations), endpoint_slice(name, addresses=('10.0.0.1',))):
            store.put(parse.read(document).object)
    gc.collect()
    gc.disable()
    try:
        for name in NAMES:
            ref = Ref('Service', 'shop', name)
            assert services.translate(store.source(ref), Reader(store, ref), context).backends
        assert gc.collect() == 0
    finally:
        gc.enable()
