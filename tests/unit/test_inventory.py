"""The inventory: the stock file with our nodes in its first groups."""

from pytest_kollalab.stages.cloud import inventory

NODES = ("controller-1", "compute-1")
STOCK = """\
# These groups are to be modified.
[control]
# must be resolvable
control01
control02

[network]
network01

[compute]
compute01

[monitoring]
monitoring01

[storage]
storage01

[deployment]
localhost       ansible_connection=local

[baremetal:children]
control
network
compute

[deployment:vars]
x=1
"""


def test_first_groups_hold_our_nodes_and_nothing_else() -> None:
    text = inventory.render(STOCK, NODES)
    assert "[control]\ncontroller-1\n\n[network]\ncontroller-1\n\n[compute]\ncompute-1\n" in text
    assert "[monitoring]\n\n[storage]\n\n[deployment]\n\n[baremetal:children]" in text
    for gone in ("control01", "network01", "compute01", "monitoring01", "storage01", "localhost"):
        assert gone not in text


def test_other_groups_stay_as_they_are() -> None:
    text = inventory.render(STOCK, NODES)
    assert "[baremetal:children]\ncontrol\nnetwork\ncompute\n" in text
    assert "[deployment:vars]\nx=1\n" in text


def test_groups_of_nodes() -> None:
    assert inventory.groups(NODES) == {
        "control": ("controller-1",),
        "network": ("controller-1",),
        "compute": ("compute-1",),
        "monitoring": (),
        "storage": (),
        "deployment": (),
    }


def test_a_node_of_another_kind_is_in_a_group_of_its_own_at_the_end() -> None:
    nodes = (*NODES, "gateway-1")
    assert inventory.groups(nodes)["gateway"] == ("gateway-1",)
    assert inventory.groups(nodes)["control"] == ("controller-1",)
    text = inventory.render(STOCK, nodes)
    assert text.endswith("[deployment:vars]\nx=1\n\n[gateway]\ngateway-1\n")
    assert text.startswith(inventory.render(STOCK, NODES).rstrip())
