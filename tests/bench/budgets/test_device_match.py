"""Which names of devices match this machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.budgets.device_match import names_of, refuse_unknown_devices
from bench.budgets.rules import load_budgets
from common.paths import PROGRAM
from device.errors import EdgeproofError
from tests.support.baselines import rules
from tests.support.results_builder import ENVIRONMENT, make_results, make_row

HERE = replace(ENVIRONMENT, host="box", cpu="Celeron N3350", cores=2, os="Debian 12")


def names(tmp_path: Path, *matches: str, device: str = "host") -> set[str]:
    for number, text in enumerate(matches):
        (tmp_path / f"d{number}.toml").write_text(text)
    return names_of(device, make_results([make_row()], environment=HERE).environments, tmp_path)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ('cpu = "*Celeron*"', True),
        ('cpu = "Celeron"', False),
        ('cpu = "*celeron*"', False),
        ('cpu_flags = "*vnni*"', True),
        ('cpu_flags = "*asimddp*"', False),
        ("cores = 2", True),
        ("cores = 4", False),
        ('host = "b?x"\nos = "Debian*"', True),
        ('host = "b?x"\nos = "Alpine*"', False),
    ],
)
def test_a_device_is_this_machine_where_every_pattern_fits(tmp_path: Path, match: str, fits: bool) -> None:
    assert names(tmp_path, f"[match]\n{match}\n") == ({"host", "d0"} if fits else {"host"})


def test_every_device_that_fits_is_a_name_and_one_that_is_reached_is_none(tmp_path: Path) -> None:
    found = names(tmp_path, "[match]\ncores = 2\n", 'host = "pi"\n', '[match]\nhost = "box"\n')
    assert found == {"host", "d0", "d2"}


def test_a_row_of_another_device_has_its_own_name_alone(tmp_path: Path) -> None:
    assert names(tmp_path, "[match]\ncores = 2\n", device="pi4") == {"pi4"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[match]\n", r"\[match\] is empty or no table: give it some of host, cpu, cpu_flags, cores, os"),
        ('match = "box"\n', r"\[match\] is empty or no table"),
        ('[match]\ncolour = "red"\n', r"\[match\] colour = 'red': expected host, cpu, cpu_flags, cores, os"),
        ("[match]\ncores = true\n", r"\[match\] cores = True: expected"),
        ("[match]\ncores = 2.5\n", r"\[match\] cores = 2.5: expected"),
    ],
)
def test_a_match_that_says_nothing_is_refused_with_its_file(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(EdgeproofError, match=rf"d0\.toml: {found}"):
        names(tmp_path, text)


@pytest.mark.parametrize("device", ["board", "bo*", "host", "*", "pi4"])
def test_a_rule_may_be_about_a_device_that_was_measured_or_has_a_file(tmp_path: Path, device: str) -> None:
    devices = tmp_path / "devices"
    devices.mkdir()
    (devices / "pi4.toml").touch()
    found = rules(tmp_path, f'[[budget]]\ndevice = "{device}"\nmax_size_kb = 1\n').rules
    refuse_unknown_devices(found, ["board"], devices)


@pytest.mark.parametrize("device", ["bord", "pi5", "x*"])
def test_a_rule_about_an_unknown_device_is_refused_with_those_that_there_are(tmp_path: Path, device: str) -> None:
    """It would never be judged, and nothing would say so."""
    devices = tmp_path / "devices"
    devices.mkdir()
    (devices / "pi4.toml").touch()
    found = rules(tmp_path, f'[[budget]]\nmax_size_kb = 1\n\n[[budget]]\ndevice = "{device}"\nmax_size_kb = 1\n').rules
    with pytest.raises(EdgeproofError) as error:
        refuse_unknown_devices(found, ["board"], devices)
    assert f"budgets.toml:4: device: found '{device}', expected one of board, host, pi4: correct " in str(error.value)


def test_the_built_in_devices_are_known_without_a_folder(tmp_path: Path) -> None:
    found = rules(tmp_path, '[[budget]]\ndevice = "zero"\nmax_size_kb = 1\n').rules
    refuse_unknown_devices(found, [])


@pytest.mark.parametrize(("flags", "limit"), [(("avx2", "avx512_vnni"), 0.8), (("avx2", "avx_vnni"), 0.8), (("avx2",), 1.5)])
def test_int8_mixed_has_to_be_faster_than_float_where_bytes_are_multiplied_with_vnni(
    flags: tuple[str, ...], limit: float
) -> None:
    row = make_row(model="mnist_cnn", variant="int8_mixed")
    names = names_of("host", {"host": replace(ENVIRONMENT, cpu_flags=flags)})
    limits = load_budgets(PROGRAM / "bench" / "budgets" / "budgets.toml").of(row.row.subject, names, "results")
    assert [one.value for one in limits if one.kind.key == "max_ratio"] == [limit]
