"""What runs on nodes and in their containers, in Ansible's modules; no part of this program."""
