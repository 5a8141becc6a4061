"""VNF packages: archives (CSAR) with a description in TOSCA and templates for Heat."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_kollalab.features.tacker.etsi import COMMON, VNFD
from pytest_kollalab.system.errors import ConfigError

FLAVOUR = "simple"
NODE_TYPE = "kollalab.VNF"
ENTRY = "Definitions/top.yaml"
TOSCA = "tosca_simple_yaml_1_2"
HOT = "2018-08-31"
PROVIDER, PRODUCT, VERSION = "kollalab", "vnf", "1.0"
# The image is not in the package: Glance has it. These are only there because they must be.
IMAGE_DATA = {
    "version": "1.0",
    "checksum": {"algorithm": "sha-256", "hash": "0" * 64},
    "container_format": "bare",
    "disk_format": "raw",
    "min_disk": "0 GB",
    "min_ram": "0 MB",
    "size": "1 GB",
}


@dataclass(frozen=True)
class Vdu:
    """A kind of servers in a VNF (a virtualisation deployment unit).

    Attributes:
        name: The name, which is also the name of its servers in Heat's templates.
        points: The names of its connection points, one for each network card, in their order. They
            are unique in a VNF.
        most: The number of servers that it can be scaled to. There is always one.
        user_data: A script that its servers run when they boot.
        forwards: Whether it passes on packets of others, so that its ports need no port security.
        flavor: The flavor; by default the one of all servers of the lab.
        image: The name of the image; by default the lab's guest image.
    """

    name: str
    points: Sequence[str]
    most: int = 1
    user_data: str = ""
    forwards: bool = False
    flavor: str = ""
    image: str = ""

    @property
    def aspect(self) -> str:
        """The name of the aspect by which it is scaled."""
        return f"{self.name}_scale"


def check(vdus: Sequence[Vdu]) -> None:
    """Check that a package can be made of these kinds of servers.

    Raises:
        ConfigError: There is none, one has no connection point or less than one server, or a name
            is there twice.
    """
    if not vdus:
        raise ConfigError("a VNF package needs a VDU", hint="give it at least one")
    for vdu in vdus:
        if isinstance(vdu.points, str) or not vdu.points:
            raise ConfigError(
                f"the VDU {vdu.name} needs connection points",
                details=f"points is {vdu.points!r}",
                hint="write a tuple of names, one for each network card",
            )
        if vdu.most < 1:
            raise ConfigError(
                f"the VDU {vdu.name} would have no server", details=f"most is {vdu.most}"
            )
    names = [name for vdu in vdus for name in (vdu.name, *vdu.points)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"a VNF package has the name {twice[0]!r} twice",
            hint="give each VDU and each connection point a name of its own",
        )


def level(number: int) -> str:
    """The id of the instantiation level with this number of servers of each scalable VDU."""
    return f"servers-{number}"


def files(
    descriptor: str,
    vdus: Sequence[Vdu],
    *,
    types: Mapping[str, str],
    image: str,
    flavor: str,
    key: str = "",
) -> dict[str, str]:
    """The files of a package.

    Args:
        descriptor: The id of its description (VNFD), which no other package may have.
        vdus: The kinds of servers.
        types: The type definitions of ETSI: text by file name.
        image: The name of the image for VDUs that name none.
        flavor: The flavor for VDUs that name none.
        key: The name of the key pair of all servers.

    Returns:
        Text by path in the archive.

    Raises:
        ConfigError: See `check`.
    """
    check(vdus)
    documents: dict[str, Any] = {
        "Definitions/types.yaml": _types(descriptor, vdus),
        "Definitions/flavour.yaml": _flavour(vdus, image, flavor),
        ENTRY: _top(descriptor),
        f"BaseHOT/{FLAVOUR}/base.yaml": _base(vdus, key),
        **{
            f"BaseHOT/{FLAVOUR}/nested/{vdu.name}.yaml": _nested(vdu, key)
            for vdu in vdus
            if vdu.most > 1
        },
    }
    return {
        "TOSCA-Metadata/TOSCA.meta": "TOSCA-Meta-File-Version: 1.0\nCSAR-Version: 1.1\n"
        f"Created-By: pytest-kollalab\nEntry-Definitions: {ENTRY}\n",
        **{f"Definitions/{name}": types[name] for name in (COMMON, VNFD)},
        **{
            path: yaml.dump(each, Dumper=_Plain, sort_keys=False)
            for path, each in documents.items()
        },
    }


def archive(contents: Mapping[str, str]) -> bytes:
    """The archive with these files: text by path."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, text in contents.items():
            packed.writestr(path, text)
    return whole.getvalue()


class _Plain(yaml.SafeDumper):
    """Writes values that occur twice twice, for Tacker changes some of what it reads."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _document(*more: str) -> dict[str, Any]:
    return {"tosca_definitions_version": TOSCA, "imports": [COMMON, VNFD, *more]}


def _types(descriptor: str, vdus: Sequence[Vdu]) -> dict[str, Any]:
    def only(value: str) -> dict[str, Any]:
        constraint = {"valid_values": [value]}
        return {"type": "string", "constraints": [constraint], "default": value}

    manager = {"type": "string", "constraints": [{"valid_values": ["Tacker"]}]}
    return _document() | {
        "node_types": {
            NODE_TYPE: {
                "derived_from": "tosca.nodes.nfv.VNF",
                "properties": {
                    "descriptor_id": only(descriptor),
                    "descriptor_version": only(VERSION),
                    "provider": only(PROVIDER),
                    "product_name": only(PRODUCT),
                    "software_version": only(VERSION),
                    "vnfm_info": {"type": "list", "entry_schema": manager, "default": ["Tacker"]},
                    "flavour_id": only(FLAVOUR),
                    "flavour_description": {"type": "string", "default": "the only one"},
                },
                "requirements": [
                    {
                        _link(point): {
                            "capability": "tosca.capabilities.nfv.VirtualLinkable",
                            # Without this, tosca-parser refuses the type.
                            "occurrences": [0, 1],
                        }
                    }
                    for vdu in vdus
                    for point in vdu.points
                ],
                "interfaces": {"Vnflcm": {"type": "tosca.interfaces.nfv.Vnflcm"}},
            }
        }
    }


def _top(descriptor: str) -> dict[str, Any]:
    properties = {
        "flavour_id": {"get_input": "selected_flavour"},
        "descriptor_id": descriptor,
        "provider": PROVIDER,
        "product_name": PRODUCT,
        "software_version": VERSION,
        "descriptor_version": VERSION,
        "vnfm_info": ["Tacker"],
    }
    return _document("types.yaml", "flavour.yaml") | {
        "topology_template": {
            "inputs": {"selected_flavour": {"type": "string"}},
            "node_templates": {
                "VNF": {"type": NODE_TYPE, "properties": properties, "requirements": None}
            },
        }
    }


def _flavour(vdus: Sequence[Vdu], image: str, flavor: str) -> dict[str, Any]:
    text = {"type": "string"}
    names = ("descriptor_id", "descriptor_version", "provider", "product_name", "software_version")
    nodes: dict[str, Any] = {
        "VNF": {"type": NODE_TYPE, "properties": {"flavour_description": "the only one"}}
    }
    for vdu in vdus:
        nodes[vdu.name] = _compute(vdu, vdu.image or image, vdu.flavor or flavor)
        for order, point in enumerate(vdu.points):
            nodes[point] = {
                "type": "tosca.nodes.nfv.VduCp",
                "properties": {"layer_protocols": ["ipv4"], "order": order},
                "requirements": [{"virtual_binding": vdu.name}],
            }
    return _document("types.yaml") | {
        "topology_template": {
            "inputs": {
                **dict.fromkeys((*names, "flavour_id", "flavour_description"), text),
                "vnfm_info": {"type": "list", "entry_schema": text},
            },
            "substitution_mappings": {
                "node_type": NODE_TYPE,
                "properties": {"flavour_id": FLAVOUR},
                "requirements": {
                    _link(point): [point, "virtual_link"] for vdu in vdus for point in vdu.points
                },
            },
            "node_templates": nodes,
            "policies": list(_policies(vdus)),
        }
    }


def _compute(vdu: Vdu, image: str, flavor: str) -> dict[str, Any]:
    wanted = {
        "requested_additional_capability_name": flavor,
        "support_mandatory": True,
        "target_performance_parameters": {"entry_schema": "none"},
    }
    return {
        "type": "tosca.nodes.nfv.Vdu.Compute",
        "properties": {
            "name": vdu.name,
            "description": vdu.name,
            "vdu_profile": {"min_number_of_instances": 1, "max_number_of_instances": vdu.most},
            "sw_image_data": {"name": image, **IMAGE_DATA},
        },
        "capabilities": {
            "virtual_compute": {
                "properties": {
                    "requested_additional_capabilities": {"properties": wanted},
                    "virtual_memory": {"virtual_mem_size": "128 MB"},
                    "virtual_cpu": {"num_virtual_cpu": 1},
                    "virtual_local_storage": [{"size_of_storage": "1 GB"}],
                }
            }
        },
    }


def _policies(vdus: Sequence[Vdu]) -> Iterable[dict[str, Any]]:
    def policy(
        name: str, kind: str, properties: dict[str, Any], *targets: str
    ) -> dict[str, dict[str, Any]]:
        found: dict[str, Any] = {"type": f"tosca.policies.nfv.{kind}", "properties": properties}
        return {name: found | ({"targets": list(targets)} if targets else {})}

    one = {"number_of_instances": 1}
    scaled = [vdu for vdu in vdus if vdu.most > 1]
    numbers = range(1, max(vdu.most for vdu in vdus) + 1)
    if scaled:
        aspects = {
            vdu.aspect: {
                "name": vdu.aspect,
                "description": vdu.aspect,
                "max_scale_level": vdu.most - 1,
                "step_deltas": ["delta"],
            }
            for vdu in scaled
        }
        yield policy("scaling_aspects", "ScalingAspects", {"aspects": aspects})
    for vdu in scaled:
        deltas = {"aspect": vdu.aspect, "deltas": {"delta": one}}
        yield policy(f"{vdu.name}_deltas", "VduScalingAspectDeltas", deltas, vdu.name)
    levels = {
        level(number): {
            "description": level(number),
            "scale_info": {
                vdu.aspect: {"scale_level": min(number, vdu.most) - 1} for vdu in scaled
            },
        }
        for number in numbers
    }
    yield policy("levels", "InstantiationLevels", {"levels": levels, "default_level": level(1)})
    for vdu in vdus:
        yield policy(f"{vdu.name}_initial", "VduInitialDelta", {"initial_delta": one}, vdu.name)
        each = {level(number): {"number_of_instances": min(number, vdu.most)} for number in numbers}
        yield policy(f"{vdu.name}_levels", "VduInstantiationLevels", {"levels": each}, vdu.name)


def _base(vdus: Sequence[Vdu], key: str) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    for vdu in vdus:
        properties = {
            "flavor": {"get_param": ["nfv", "VDU", vdu.name, "computeFlavourId"]},
            "image": {"get_param": ["nfv", "VDU", vdu.name, "vcImageId"]},
            **{
                _network(point): {"get_param": ["nfv", "CP", point, "network"]}
                for point in vdu.points
            },
        }
        if vdu.most == 1:
            # A template of its own would be a stack of its own, which Heat takes seconds for.
            resources |= _server(vdu, key, properties)
            continue
        desired = {"get_param": ["nfv", "VDU", vdu.name, "desired_capacity"]}
        sizes = {"min_size": 1, "max_size": vdu.most, "desired_capacity": desired}
        resources[vdu.name] = {
            "type": "OS::Heat::AutoScalingGroup",
            "properties": {
                **sizes,
                "resource": {"type": f"{vdu.name}.yaml", "properties": properties},
            },
        }
    return {
        "heat_template_version": HOT,
        "parameters": {"nfv": {"type": "json"}},
        "resources": resources,
    }


def _nested(vdu: Vdu, key: str) -> dict[str, Any]:
    names = ("flavor", "image", *map(_network, vdu.points))
    return {
        "heat_template_version": HOT,
        "parameters": {name: {"type": "string"} for name in names},
        "resources": _server(vdu, key, {name: {"get_param": name} for name in names}),
    }


def _server(vdu: Vdu, key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A server and its ports; `given` has where their flavor, image and networks come from."""
    server = {
        "flavor": given["flavor"],
        "image": given["image"],
        "networks": [{"port": {"get_resource": point}} for point in vdu.points],
        **({"key_name": key} if key else {}),
        "user_data_format": "RAW",
        **({"user_data": vdu.user_data} if vdu.user_data else {}),
    }
    insecure = {"port_security_enabled": False} if vdu.forwards else {}
    # Tacker finds the server by the name of the VDU, and ports by those of the connection points.
    return {
        vdu.name: {"type": "OS::Nova::Server", "properties": server},
        **{
            point: {
                "type": "OS::Neutron::Port",
                "properties": {"network": given[_network(point)], **insecure},
            }
            for point in vdu.points
        },
    }


def _link(point: str) -> str:
    return f"link_{point}"


def _network(point: str) -> str:
    return f"network_{point}"
