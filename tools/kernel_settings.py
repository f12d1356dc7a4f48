"""What a kubelet sets for the whole kernel, unless it finds it so: a node that shares its kernel shows it these."""

KUBELET = {
    'vm/overcommit_memory': 1, 'vm/panic_on_oom': 0, 'kernel/panic': 10, 'kernel/panic_on_oops': 1,
    'kernel/keys/root_maxkeys': 1000000, 'kernel/keys/root_maxbytes': 25000000,
}  # fmt: skip
