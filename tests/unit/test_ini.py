"""INI files: repeated options stay, later text wins by option."""

import pytest

from pytest_kollalab.stages.cloud import ini
from pytest_kollalab.system.errors import ConfigError


def test_repeated_options_are_kept() -> None:
    text = "[service_providers]\nservice_provider = A\nservice_provider = B\n"
    assert ini.parse(text) == {"service_providers": {"service_provider": ["A", "B"]}}
    assert ini.render(ini.parse(text) or {}) == text


def test_comments_and_blank_lines_are_dropped() -> None:
    assert ini.parse("# c\n[a]\n; c\n\nx=1\n") == {"a": {"x": ["1"]}}


def test_yaml_is_not_ini() -> None:
    assert ini.parse("a: b\n") is None
    assert ini.parse("[a]\n- b\n") is None


def test_merge_replaces_all_values_of_an_option() -> None:
    assert ini.merge("[a]\nx = 1\nx = 2\n", "[a]\nx = 3\n[b]\ny = 4\n") == (
        "[a]\nx = 3\n\n[b]\ny = 4\n"
    )


def test_difference_names_section_and_option() -> None:
    assert ini.difference("[a]\nx = 1\n", "[a]\nx = 2\n") == ("[a] x", "1", "2")
    assert ini.difference("[a]\nx = 1\n", "[a]\nx = 1\ny = 2\n") is None
    assert ini.difference("text", "text") is None
    assert ini.difference("text", "other") == ("its text", "text", "other")


def test_a_line_that_begins_with_white_space_continues_a_value() -> None:
    # As oslo.config reads it: also when it looks like an option or a comment.
    text = "[a]\nx = 1,\n    2\n    y = 3\n    # c\n\nz = 4\n"
    assert ini.parse(text) == {"a": {"x": ["1,\n2\ny = 3\n# c"], "z": ["4"]}}


def test_a_continued_value_survives_a_merge() -> None:
    merged = ini.merge("[a]\nx = 1,\n    2\ny = 3\n", "[a]\ny = 4,\n  5\n")
    assert merged == "[a]\nx = 1,\n    2\ny = 4,\n    5\n"


def test_an_indented_option_at_the_start_is_an_error_and_loses_nothing() -> None:
    assert ini.parse("[a]\n    x = 1\n") is None
    with pytest.raises(ConfigError) as caught:
        ini.merge("[a]\nx = 1\n", "[a]\n    x = 2\n", "neutron.conf")
    assert "neutron.conf" in caught.value.brief
    assert caught.value.details == "line 2:     x = 2"
