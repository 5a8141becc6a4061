"""VNFs: what is in a package, the bodies of requests, and what the API's answers say."""

import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from pytest_kollalab.features.tacker import csar, etsi, operations, words
from pytest_kollalab.features.tacker.api import TackerError, reason
from pytest_kollalab.features.tacker.csar import Vdu
from pytest_kollalab.features.tacker.feature import unsupported_reason
from pytest_kollalab.features.tacker.operations import Occurrence, Part
from pytest_kollalab.features.tacker.vnf import Vnf, VnfPackage
from pytest_kollalab.features.tacker.words import OperationFailedError, Tacker
from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.tenant.network import Network
from pytest_kollalab.settings.config import Config
from pytest_kollalab.system.errors import ConfigError, StageError, WaitError

TYPES = {etsi.COMMON: "common: types\n", etsi.VNFD: "imports: [./common]\n"}
FIREWALL = Vdu("fw", ("fw_in", "fw_out"), most=3, forwards=True, user_data="#!/bin/sh\necho up\n")
SITE = Vdu("site", ("site_cp",))


def files(*vdus: Vdu, key: str = "") -> dict[str, str]:
    return csar.files("d-1", vdus, types=TYPES, image="guest", flavor="small", key=key)


def document(found: Mapping[str, str], path: str) -> Any:
    return yaml.safe_load(found[path])


def test_a_package_has_its_files_and_those_of_etsi() -> None:
    found = files(FIREWALL, SITE)
    assert set(found) == {
        "TOSCA-Metadata/TOSCA.meta",
        "Definitions/etsi_nfv_sol001_common_types.yaml",
        "Definitions/etsi_nfv_sol001_vnfd_types.yaml",
        "Definitions/types.yaml",
        "Definitions/flavour.yaml",
        "Definitions/top.yaml",
        "BaseHOT/simple/base.yaml",
        "BaseHOT/simple/nested/fw.yaml",
    }
    assert found["Definitions/etsi_nfv_sol001_common_types.yaml"] == "common: types\n"
    assert "Entry-Definitions: Definitions/top.yaml\n" in found["TOSCA-Metadata/TOSCA.meta"]


def test_an_archive_has_the_files() -> None:
    packed = zipfile.ZipFile(io.BytesIO(csar.archive({"a/b.yaml": "c: d\n"})))
    assert packed.namelist() == ["a/b.yaml"]
    assert packed.read("a/b.yaml") == b"c: d\n"


def test_the_descriptor_is_in_the_type_and_in_the_template() -> None:
    found = files(SITE)
    kind = document(found, "Definitions/types.yaml")["node_types"]["kollalab.VNF"]
    assert kind["properties"]["descriptor_id"]["default"] == "d-1"
    top = document(found, "Definitions/top.yaml")["topology_template"]["node_templates"]["VNF"]
    assert top["properties"]["descriptor_id"] == "d-1"


def test_a_vdu_has_image_flavor_and_connection_points() -> None:
    flavour = document(files(FIREWALL, SITE), "Definitions/flavour.yaml")["topology_template"]
    nodes = flavour["node_templates"]
    assert nodes["fw"]["properties"]["sw_image_data"]["name"] == "guest"
    compute = nodes["fw"]["capabilities"]["virtual_compute"]["properties"]
    wanted = compute["requested_additional_capabilities"]["properties"]
    assert wanted["requested_additional_capability_name"] == "small"
    assert [nodes[point]["properties"]["order"] for point in FIREWALL.points] == [0, 1]
    assert nodes["site_cp"]["requirements"] == [{"virtual_binding": "site"}]
    links = flavour["substitution_mappings"]["requirements"]
    assert links["link_fw_out"] == ["fw_out", "virtual_link"]


def test_a_vdu_may_name_another_image_and_flavor() -> None:
    vdu = Vdu("big", ("cp",), image="other", flavor="huge")
    text = files(vdu)["Definitions/flavour.yaml"]
    assert "name: other\n" in text
    assert "requested_additional_capability_name: huge\n" in text


def policies(*vdus: Vdu) -> dict[str, Any]:
    flavour = document(files(*vdus), "Definitions/flavour.yaml")["topology_template"]
    return {name: each for policy in flavour["policies"] for name, each in policy.items()}


def test_what_can_be_scaled_has_aspect_deltas_and_levels() -> None:
    found = policies(FIREWALL, SITE)
    aspects = found["scaling_aspects"]["properties"]["aspects"]
    assert aspects == {
        "fw_scale": {
            "name": "fw_scale",
            "description": "fw_scale",
            "max_scale_level": 2,
            "step_deltas": ["delta"],
        }
    }
    assert found["fw_deltas"]["targets"] == ["fw"]
    assert "site_deltas" not in found
    levels = found["levels"]["properties"]["levels"]
    assert list(levels) == ["servers-1", "servers-2", "servers-3"]
    assert levels["servers-3"]["scale_info"] == {"fw_scale": {"scale_level": 2}}
    counts = {
        name: [each["number_of_instances"] for each in found[name]["properties"]["levels"].values()]
        for name in ("fw_levels", "site_levels")
    }
    assert counts == {"fw_levels": [1, 2, 3], "site_levels": [1, 1, 1]}


def test_what_cannot_be_scaled_has_one_level() -> None:
    found = policies(SITE)
    assert "scaling_aspects" not in found
    assert list(found["levels"]["properties"]["levels"]) == ["servers-1"]


def test_heat_makes_a_group_of_what_can_be_scaled() -> None:
    resources = document(files(FIREWALL, SITE), "BaseHOT/simple/base.yaml")["resources"]
    group = resources["fw"]["properties"]
    assert resources["fw"]["type"] == "OS::Heat::AutoScalingGroup"
    assert (group["min_size"], group["max_size"]) == (1, 3)
    assert group["desired_capacity"] == {"get_param": ["nfv", "VDU", "fw", "desired_capacity"]}
    assert group["resource"]["type"] == "fw.yaml"
    assert group["resource"]["properties"]["network_fw_in"] == {
        "get_param": ["nfv", "CP", "fw_in", "network"]
    }
    # A stack of its own takes time, and is of no use for what is there once.
    assert resources["site"]["type"] == "OS::Nova::Server"
    assert resources["site"]["properties"]["image"] == {
        "get_param": ["nfv", "VDU", "site", "vcImageId"]
    }
    assert resources["site_cp"]["properties"]["network"] == {
        "get_param": ["nfv", "CP", "site_cp", "network"]
    }


def test_a_server_is_named_as_its_vdu_and_its_ports_as_the_connection_points() -> None:
    resources = document(files(FIREWALL, key="mine"), "BaseHOT/simple/nested/fw.yaml")["resources"]
    assert list(resources) == ["fw", "fw_in", "fw_out"]
    server = resources["fw"]["properties"]
    assert server["networks"] == [
        {"port": {"get_resource": "fw_in"}},
        {"port": {"get_resource": "fw_out"}},
    ]
    assert server["key_name"] == "mine"
    assert (server["user_data_format"], server["user_data"]) == ("RAW", FIREWALL.user_data)
    assert resources["fw_in"]["properties"]["port_security_enabled"] is False


def test_ports_of_what_does_not_forward_are_secure() -> None:
    resources = document(files(SITE), "BaseHOT/simple/base.yaml")["resources"]
    assert "port_security_enabled" not in resources["site_cp"]["properties"]
    assert "key_name" not in resources["site"]["properties"]


def test_no_value_is_written_as_a_reference_to_another() -> None:
    assert not [path for path, text in files(FIREWALL, SITE).items() if "&id" in text]


@pytest.mark.parametrize(
    ("vdus", "told"),
    [
        ((), "needs a VDU"),
        ((Vdu("a", ()),), "the VDU a needs connection points"),
        ((Vdu("a", "cp"),), "the VDU a needs connection points"),
        ((Vdu("a", ("cp",), most=0),), "the VDU a would have no server"),
        ((Vdu("a", ("cp",)), Vdu("b", ("cp",))), "has the name 'cp' twice"),
        ((Vdu("a", ("a",)),), "has the name 'a' twice"),
    ],
)
def test_what_no_package_can_be_made_of(vdus: tuple[Vdu, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        files(*vdus)


def source(folder: Path, *names: str) -> Path:
    path = folder / "tacker-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name in names:
            entry = tarfile.TarInfo(f"tacker-1.0/{etsi.FOLDER}/{name}")
            entry.size = len(name)
            packed.addfile(entry, io.BytesIO(name.encode()))
    return path


def test_types_are_taken_out_of_a_source_distribution(tmp_path: Path) -> None:
    found = etsi.take(source(tmp_path, etsi.COMMON, etsi.VNFD), tmp_path / "types")
    assert sorted(path.name for path in found.iterdir()) == sorted([etsi.COMMON, etsi.VNFD])
    assert (found / etsi.VNFD).read_text() == etsi.VNFD


def test_a_source_distribution_without_types_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"tacker-1.0.tar.gz has no type definitions") as error:
        etsi.take(source(tmp_path, etsi.COMMON), tmp_path / "types")
    assert etsi.VNFD in error.value.details


def test_types_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(folder: Path) -> Path:
        return source(folder, etsi.COMMON, etsi.VNFD)

    monkeypatch.setattr(etsi, "_download", download)
    first = etsi.definitions(tmp_path)
    assert first == {etsi.COMMON: etsi.COMMON, etsi.VNFD: etsi.VNFD}
    monkeypatch.setattr(etsi, "_download", None)
    assert etsi.definitions(tmp_path) == first
    assert [path.name.partition("-")[0] for path in (tmp_path / "tacker").iterdir()] == ["types"]


LOGIN = {
    "auth_url": "http://192.0.2.1:5000",
    "username": "me",
    "password": "secret",
    "project_name": "mine",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}


@pytest.mark.parametrize("url", ["http://k:5000", "http://k:5000/", "http://k:5000/v3"])
def test_tacker_logs_in_at_version_3_of_keystone(url: str) -> None:
    (info,) = operations.vim({**LOGIN, "auth_url": url}, "RegionOne").values()
    assert info["interfaceInfo"] == {"endpoint": "http://k:5000/v3"}
    assert info["accessInfo"] == {
        "username": "me",
        "password": "secret",
        "project": "mine",
        "userDomain": "Default",
        "projectDomain": "Default",
        "region": "RegionOne",
    }


def test_connection_points_of_a_network_are_in_one_link() -> None:
    networks = {"fw_in": "net-a", "fw_out": "net-a", "site_cp": "net-b"}
    body = operations.instantiation(networks, operations.vim(LOGIN, "R"), servers=2)
    assert (body["flavourId"], body["instantiationLevelId"]) == ("simple", "servers-2")
    points = {
        link["resourceId"]: [point["cpdId"] for point in link["extCps"]]
        for link in body["extVirtualLinks"]
    }
    assert points == {"net-a": ["fw_in", "fw_out"], "net-b": ["site_cp"]}
    (config,) = body["extVirtualLinks"][1]["extCps"][0]["cpConfig"].values()
    (data,) = config["cpProtocolData"]
    assert data["ipOverEthernet"]["ipAddresses"] == [{"type": "IPV4", "numDynamicAddresses": 1}]


def test_scaling_has_a_direction_and_steps() -> None:
    out = {"type": "SCALE_OUT", "aspectId": "fw_scale", "numberOfSteps": 2}
    assert operations.scaling("fw_scale", 2) == out
    assert operations.scaling("fw_scale", -1) == {
        "type": "SCALE_IN",
        "aspectId": "fw_scale",
        "numberOfSteps": 1,
    }


def test_healing_names_the_servers() -> None:
    body = {"vnfcInstanceId": ["c-1"], "additionalParams": {"all": False}}
    assert operations.healing(["c-1"]) == body


def test_termination_is_forceful_by_default() -> None:
    assert operations.termination() == {"terminationType": "FORCEFUL"}
    assert operations.termination(graceful=True) == {"terminationType": "GRACEFUL"}


TOLD = {
    "id": "o-1",
    "vnfInstanceId": "v-1",
    "operation": "HEAL",
    "operationState": "PROCESSING",
    "startTime": "2026-11-30T06:00:00Z",
    "stateEnteredTime": "2026-11-30T06:00:01Z",
}


@pytest.mark.parametrize(
    ("state", "ended", "good"),
    [
        ("STARTING", False, False),
        ("PROCESSING", False, False),
        ("ROLLING_BACK", False, False),
        ("COMPLETED", True, True),
        ("FAILED_TEMP", True, False),
        ("FAILED", True, False),
        ("ROLLED_BACK", True, False),
    ],
)
def test_states_of_an_occurrence(state: str, ended: bool, good: bool) -> None:
    found = operations.occurrence({**TOLD, "operationState": state})
    assert found.has_ended == ended
    assert bool(found) == good


def test_an_occurrence_has_the_error() -> None:
    error = {"status": 422, "title": "Stack create failed", "detail": "No valid host was found"}
    found = operations.occurrence({**TOLD, "operationState": "FAILED_TEMP", "error": error}, 3.5)
    assert found.error == "No valid host was found"
    assert found.seconds == 3.5
    assert str(found) == "HEAL of v-1: FAILED_TEMP: No valid host was found"


def test_an_error_may_have_a_title_alone() -> None:
    told = {**TOLD, "operationState": "FAILED_TEMP", "error": {"title": "Stack create failed"}}
    assert operations.occurrence(told).error == "Stack create failed"


INSTANCE = {
    "id": "v-1",
    "instantiationState": "INSTANTIATED",
    "instantiatedVnfInfo": {
        "vnfcInfo": [
            {"id": "fw-r2", "vduId": "fw", "vnfcResourceInfoId": "r2"},
            {"id": "fw-r1", "vduId": "fw", "vnfcResourceInfoId": "r1"},
        ],
        "vnfcResourceInfo": [
            {
                "id": "r2",
                "vduId": "fw",
                "computeResource": {"resourceId": "server-2"},
                "vnfcCpInfo": [{"id": "x", "cpdId": "fw_in", "vnfExtCpId": "cp-3"}],
                "metadata": {"creation_time": "2026-11-30T06:02:00Z"},
            },
            {
                "id": "r1",
                "vduId": "fw",
                "computeResource": {"resourceId": "server-1"},
                "vnfcCpInfo": [
                    {"id": "y", "cpdId": "fw_in", "vnfExtCpId": "cp-1"},
                    {"id": "z", "cpdId": "fw_out", "vnfExtCpId": "cp-2"},
                    {"id": "i", "cpdId": "inner"},
                ],
                "metadata": {"creation_time": "2026-11-30T06:01:00Z"},
            },
        ],
        "extVirtualLinkInfo": [
            {
                "id": "link",
                "extLinkPorts": [
                    {"id": str(n), "resourceHandle": {"resourceId": f"port-{n}"}, **point}
                    for n, point in enumerate(
                        [
                            {"cpInstanceId": "cp-1"},
                            {"cpInstanceId": "cp-2"},
                            {"cpInstanceId": "cp-3"},
                            {},
                        ],
                        start=1,
                    )
                ],
            }
        ],
    },
}


def test_parts_of_a_vnf_with_their_ports() -> None:
    assert operations.parts(INSTANCE) == [
        Part("fw-r1", "fw", "server-1", {"fw_in": "port-1", "fw_out": "port-2"}),
        Part("fw-r2", "fw", "server-2", {"fw_in": "port-3"}),
    ]


def test_a_vnf_that_is_not_instantiated_has_no_parts() -> None:
    assert operations.parts({"id": "v-1", "instantiationState": "NOT_INSTANTIATED"}) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"status": 422, "detail": "not operational"}', "not operational"),
        ('{"badRequest": {"message": "Additional properties", "code": 400}}', "Additional"),
        ('{"title": "Conflict", "status": 409}', "Conflict"),
        ('{"status": 500}', '{"status": 500}'),
        ("[1]", "[1]"),
        ("<html>504</html>", "<html>504</html>"),
    ],
)
def test_the_reason_of_a_refusal(text: str, told: str) -> None:
    assert told in reason(text)


class Answer:
    """An answer of the API."""

    def __init__(self, status: int, told: Any = None, location: str = "") -> None:
        self.status_code = status
        self.told = told
        self.headers = {"Location": location}
        self.text = str(told)

    def json(self) -> Any:
        return self.told


class Cloud:
    """Answers requests with what is in a list for their method and path, each once."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers: dict[str, Iterator[Answer]] = {
            name: iter(each) for name, each in answers.items()
        }
        self.asked: list[tuple[str, str, Any]] = []
        self.session = self
        self.orchestration = self
        self.names: list[str] = []
        # How often a stack is still listed once it is deleted, and a package still in use.
        self.late = 0
        self.in_use = 0
        self.config = SimpleNamespace(
            get_interface=lambda: "public", get_region_name=lambda: "RegionOne"
        )

    def stacks(self) -> Iterator[Any]:
        for name in self.names:
            yield SimpleNamespace(name=name, status="CREATE_FAILED", status_reason="")
        if self.late:
            self.late -= 1
            yield SimpleNamespace(name="vnf-v-1", status="DELETE_IN_PROGRESS", status_reason="")
        yield SimpleNamespace(name="vnf-v-1", status="DELETE_COMPLETE", status_reason="")

    def delete_stack(self, stack: Any) -> None:
        if stack.name in self.names:
            self.names.remove(stack.name)

    def request(self, path: str, verb: str, **options: Any) -> Answer:
        self.asked.append((verb, path, options.get("json", options.get("data"))))
        assert options["headers"]["Version"] == "2.0.0"
        if path == "/vnfpkgm/v1/vnf_packages/p-1" and verb == "GET" and "put" not in self.answers:
            self.in_use -= 1
            return Answer(200, {"usageState": "IN_USE" if self.in_use >= 0 else "NOT_IN_USE"})
        if "filter=(eq,vnfdId" in path:
            return Answer(200, [])
        name = "occurrence" if "lcm_op_occs" in path and verb == "GET" else verb.lower()
        return next(self.answers[name])


def told(state: str, error: str = "", since: str = "2026-11-30T06:00:01Z") -> Answer:
    more: dict[str, Any] = {"error": {"detail": error}} if error else {}
    more["stateEnteredTime"] = since
    return Answer(200, {**TOLD, "operationState": state, **more})


LATER = "2026-11-30T06:00:07Z"
ACCEPTED = Answer(202, location="http://127.0.0.1:9890/vnflcm/v2/vnf_lcm_op_occs/o-1")
NET = Network("n-1", "net", "s-1", "10.200.0.0/24", "10.200.0.1", 1450)


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures would be shown at the end of this run."""
    monkeypatch.setattr(figures, "record", lambda *_: None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "INTERVAL", 0)


def made(cloud: Cloud, tmp_path: Path) -> tuple[Tacker, Vnf]:
    tenant = SimpleNamespace(cloud=cloud, patience=1.0, login=LOGIN)
    tacker = Tacker(cast(Any, tenant), tmp_path, image="guest", flavor="small")
    return tacker, Vnf(cast(Any, tenant), "v-1", VnfPackage("p-1", "d-1", (FIREWALL,)))


@pytest.mark.usefixtures("quick")
def test_an_operation_is_waited_for(tmp_path: Path) -> None:
    cloud = Cloud(post=[ACCEPTED], occurrence=[told("STARTING"), told("COMPLETED")])
    tacker, vnf = made(cloud, tmp_path)
    done = tacker.instantiate(vnf, {"fw_in": NET, "fw_out": NET})
    assert done
    assert vnf.networks == {"fw_in": NET, "fw_out": NET}
    assert [(verb, path) for verb, path, _ in cloud.asked] == [
        ("POST", "/vnflcm/v2/vnf_instances/v-1/instantiate"),
        ("GET", "/vnflcm/v2/vnf_lcm_op_occs/o-1"),
        ("GET", "/vnflcm/v2/vnf_lcm_op_occs/o-1"),
    ]


@pytest.mark.usefixtures("quick")
def test_a_vdu_is_scaled_by_its_aspect(tmp_path: Path) -> None:
    cloud = Cloud(post=[ACCEPTED], occurrence=[told("COMPLETED")])
    tacker, vnf = made(cloud, tmp_path)
    tacker.scale(vnf, "fw", -1)
    assert cloud.asked[0][2]["aspectId"] == "fw_scale"


@pytest.mark.usefixtures("quick")
def test_an_operation_that_fails_is_an_error_with_the_reason(tmp_path: Path) -> None:
    cloud = Cloud(post=[ACCEPTED], occurrence=[told("FAILED_TEMP", "Quota exceeded")])
    tacker, vnf = made(cloud, tmp_path)
    with pytest.raises(OperationFailedError, match="HEAL of a VNF ended as FAILED_TEMP") as error:
        tacker.heal(vnf)
    assert error.value.details == "Quota exceeded"


@pytest.mark.usefixtures("quick")
def test_an_expected_failure_is_returned(tmp_path: Path) -> None:
    cloud = Cloud(post=[ACCEPTED], occurrence=[told("FAILED_TEMP", "Quota exceeded")])
    tacker, vnf = made(cloud, tmp_path)
    failed = tacker.heal(vnf, fails=True)
    assert not failed
    assert failed.error == "Quota exceeded"


@pytest.mark.usefixtures("quick")
def test_a_success_where_a_failure_is_expected_is_an_error(tmp_path: Path) -> None:
    cloud = Cloud(post=[ACCEPTED], occurrence=[told("COMPLETED")])
    tacker, vnf = made(cloud, tmp_path)
    with pytest.raises(OperationFailedError, match="ended as COMPLETED, not as FAILED_TEMP"):
        tacker.terminate(vnf, fails=True)


def test_an_operation_that_hangs_is_told_with_its_last_state(tmp_path: Path) -> None:
    cloud = Cloud(post=[ACCEPTED], occurrence=[told("PROCESSING")])
    tacker, vnf = made(cloud, tmp_path)
    with pytest.raises(WaitError, match="heal of a VNF: the operation o-1 to end") as error:
        tacker.heal(vnf, within=0)
    assert "HEAL of v-1: PROCESSING, since 2026-11-30T06:00:01Z" in error.value.details


def test_a_refusal_is_told_with_its_reason(tmp_path: Path) -> None:
    answer = Answer(409)
    answer.text = '{"detail": "Other LCM operation in progress", "status": 409}'
    tacker, vnf = made(Cloud(post=[answer]), tmp_path)
    with pytest.raises(TackerError, match="Tacker answers 409 to POST") as error:
        tacker.heal(vnf)
    assert error.value.details == "Other LCM operation in progress"


@pytest.mark.usefixtures("quick")
def test_a_vnf_is_removed_once_its_operation_has_ended(tmp_path: Path) -> None:
    listed = Answer(200, [{**TOLD, "operation": "INSTANTIATE"}])
    cloud = Cloud(
        get=[Answer(200, INSTANCE), Answer(200, INSTANCE)],
        occurrence=[listed, told("PROCESSING"), told("COMPLETED"), told("COMPLETED")],
        post=[ACCEPTED],
        delete=[Answer(204)],
    )
    tacker, vnf = made(cloud, tmp_path)
    tacker.remove(vnf)
    assert [path for verb, path, _ in cloud.asked if verb != "GET"] == [
        f"{vnf.path}/terminate",
        vnf.path,
    ]


@pytest.mark.usefixtures("quick")
def test_a_failed_operation_is_rolled_back_before_a_vnf_is_removed(tmp_path: Path) -> None:
    failed = {**TOLD, "operation": "INSTANTIATE", "operationState": "FAILED_TEMP"}
    plain = {"id": "v-1", "instantiationState": "NOT_INSTANTIATED"}
    cloud = Cloud(
        get=[Answer(200, plain), Answer(200, plain)],
        occurrence=[
            Answer(200, [failed | {"stateEnteredTime": "2026-11-30T06:00:01.000000"}]),
            told("FAILED_TEMP"),
            told("FAILED_TEMP"),
            told("ROLLED_BACK"),
        ],
        post=[Answer(202)],
        delete=[Answer(204)],
    )
    tacker, vnf = made(cloud, tmp_path)
    tacker.remove(vnf)
    assert [path for verb, path, _ in cloud.asked if verb != "GET"] == [
        "/vnflcm/v2/vnf_lcm_op_occs/o-1/rollback",
        vnf.path,
    ]


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_rolled_back_is_given_up(tmp_path: Path) -> None:
    failed = {**TOLD, "operationState": "FAILED_TEMP"}
    cloud = Cloud(
        get=[Answer(200, INSTANCE), Answer(200, INSTANCE)],
        occurrence=[
            Answer(200, [failed]),
            told("FAILED_TEMP"),
            told("FAILED_TEMP", "Rollback is not supported", since=LATER),
            told("FAILED"),
            told("COMPLETED"),
        ],
        post=[Answer(202), Answer(200), ACCEPTED],
        delete=[Answer(204)],
    )
    tacker, vnf = made(cloud, tmp_path)
    tacker.remove(vnf)
    assert [path.rpartition("/")[2] for verb, path, _ in cloud.asked if verb == "POST"] == [
        "rollback",
        "fail",
        "terminate",
    ]


@pytest.mark.usefixtures("quick")
def test_what_was_given_up_is_removed_from_heat(tmp_path: Path) -> None:
    failed = {**TOLD, "operation": "INSTANTIATE", "operationState": "FAILED"}
    plain = {"id": "v-1", "instantiationState": "NOT_INSTANTIATED"}
    cloud = Cloud(
        get=[Answer(200, plain), Answer(200, plain)],
        occurrence=[Answer(200, [failed])],
        delete=[Answer(204)],
    )
    cloud.names = ["vnf-v-1", "vnf-v-2"]
    cloud.late = 2
    tacker, vnf = made(cloud, tmp_path)
    tacker.remove(vnf)
    assert cloud.names == ["vnf-v-2"]
    assert [stack.name for stack in tacker.stacks()] == ["vnf-v-2"]


@pytest.mark.usefixtures("quick")
def test_what_is_rolled_back_has_ended_once_tacker_has_begun_to(tmp_path: Path) -> None:
    failed = told("FAILED_TEMP")
    cloud = Cloud(
        post=[Answer(202)],
        occurrence=[failed, failed, failed, failed, told("ROLLING_BACK"), told("ROLLED_BACK")],
    )
    tacker, _ = made(cloud, tmp_path)
    assert tacker.roll_back(tacker.look("o-1")).state == "ROLLED_BACK"


@pytest.mark.usefixtures("quick")
def test_a_vnf_is_removed_when_its_package_can_be(tmp_path: Path) -> None:
    plain = {"id": "v-1", "instantiationState": "NOT_INSTANTIATED"}
    cloud = Cloud(
        get=[Answer(200, plain), Answer(200, plain)],
        occurrence=[Answer(200, [])],
        delete=[Answer(204)],
    )
    cloud.in_use = 2
    tacker, vnf = made(cloud, tmp_path)
    tacker.remove(vnf)
    asked = [path for verb, path, _ in cloud.asked if "vnf_packages" in path]
    assert len(asked) == 3


def test_a_vnf_that_is_gone_is_removed_again(tmp_path: Path) -> None:
    cloud = Cloud(get=[Answer(404)])
    tacker, vnf = made(cloud, tmp_path)
    tacker.remove(vnf)
    assert len(cloud.asked) == 1


@pytest.mark.parametrize(("release", "reason"), [("2026.1", None), ("2026.2", "for 2026.1 only")])
def test_images_are_pinned_for_one_release(release: str, reason: str | None) -> None:
    found = unsupported_reason(Config(release=release))
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


LOG = """\
2026-11-30 08:00:00.0 7 ERROR tacker.conductor an.older.Error: of another package
2026-11-30 08:00:00.0 7 ERROR tacker.common.csar_utils [None req-1 - - - -] Tosca parser failed \
for vnf package p-1: Error:
The input "/var/lib/tacker/vnfpackages/p-1.zip" failed validation with the following error(s):

\tImportError: Import "flavour.yaml" is not valid.
\t\tFile /usr/lib/python3/csar.py, line 93, in validate
\t\t\tfunc(*args, **kwargs)
2026-11-30 08:00:00.0 7 ERROR oslo_messaging.rpc.server
2026-11-30 08:00:00.0 7 ERROR oslo_messaging.rpc.server \tImportError: Import "flavour.yaml"
"""
PLAIN_LOG = """\
2026-11-30 08:00:00.0 7 ERROR tacker.common.csar_utils Upload of package p-1 failed
2026-11-30 08:00:00.0 7 ERROR oslo_messaging.rpc.server     raise exceptions.InvalidCSAR(error)
2026-11-30 08:00:00.0 7 ERROR oslo_messaging.rpc.server tacker.common.exceptions.InvalidCSAR: bad
2026-11-30 08:00:01.0 7 INFO tacker.conductor tacker.common.exceptions.Later: no error
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (LOG, 'ImportError: Import "flavour.yaml" is not valid.'),
        (PLAIN_LOG, "tacker.common.exceptions.InvalidCSAR: bad"),
        (LOG.replace("p-1", "p-2"), ""),
        ("", ""),
    ],
)
def test_the_log_says_why_a_package_is_not_taken(log: str, told: str) -> None:
    assert words.reasons(log, "p-1") == told


def taking_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *states: str, log: str | None = None
) -> VnfPackage:
    monkeypatch.setattr(etsi, "definitions", lambda _: TYPES)
    cloud = Cloud(
        post=[Answer(201, {"id": "p-1"})],
        put=[Answer(202)],
        get=[Answer(200, {"onboardingState": state}) for state in states],
    )
    tacker, _ = made(cloud, tmp_path)
    ssh = SimpleNamespace(run=lambda *_, **__: SimpleNamespace(stdout=log))
    tacker.tenant = cast(
        Any,
        SimpleNamespace(
            cloud=cloud, patience=1.0, keypair="k", undo=ExitStack(), ssh=ssh, has_nodes=bool(log)
        ),
    )
    return tacker.package(SITE)


@pytest.mark.usefixtures("quick")
def test_a_package_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = taking_in(tmp_path, monkeypatch, "UPLOADING", "PROCESSING", "ONBOARDED")
    assert (package.id, package.vdus) == ("p-1", (SITE,))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("log", "told"), [(LOG, "flavour.yaml"), (None, "no reason")])
def test_a_package_that_is_not_taken_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str | None, told: str
) -> None:
    with pytest.raises(OperationFailedError, match="does not take the package p-1") as error:
        taking_in(tmp_path, monkeypatch, "UPLOADING", "CREATED", log=log)
    assert told in error.value.details


def test_occurrences_are_false_unless_they_are_completed() -> None:
    assert not Occurrence("o", "v", "SCALE", "ROLLED_BACK")
