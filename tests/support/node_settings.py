"""What containerd and kubelet are told on a machine that a test makes into a node."""

from support.machine import INSIDE


def containerd(pause):
    """Return the configuration of containerd; `pause` is the image of what holds a pod's namespaces."""
    # restrict_oom_score_adj: where this process may not lower the score, nothing would start.
    return f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{INSIDE}/cni"
"""


def kubelet(dns, **more):
    """Return the configuration of kubelet, whose pods ask `dns` for names."""
    return {
        'apiVersion': 'kubelet.config.k8s.io/v1beta1', 'kind': 'KubeletConfiguration',
        # Only this process reaches its network.
        'authentication': {'anonymous': {'enabled': True}, 'webhook': {'enabled': False}},
        'authorization': {'mode': 'AlwaysAllow'},
        'failSwapOn': False, 'failCgroupV1': False, 'cgroupDriver': 'cgroupfs', 'enforceNodeAllocatable': [],
        'containerRuntimeEndpoint': 'unix:///run/containerd/containerd.sock',
        'clusterDNS': [dns], 'clusterDomain': 'cluster.local', 'resolvConf': f'{INSIDE}/resolv.conf',
        # The disk is this machine's, and not what is tested.
        'evictionHard': {'nodefs.available': '0%', 'imagefs.available': '0%', 'memory.available': '0%'},
        'imageGCHighThresholdPercent': 100, 'registerNode': True,
        **more,
    }  # fmt: skip
