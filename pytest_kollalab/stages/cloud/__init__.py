"""The cloud on the nodes: what Kolla-Ansible is given, how it is run, and whether it is healthy."""
