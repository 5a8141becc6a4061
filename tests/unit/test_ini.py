"""INI files: repeated options stay, later text wins by option."""

from pytest_kollalab.stages.cloud import ini


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
