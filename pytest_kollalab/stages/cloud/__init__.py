"""The cloud on the nodes: the input of Kolla-Ansible, its runs, and health checks."""
