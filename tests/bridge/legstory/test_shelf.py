"""The shelf: the latest stories are on disk, read while it is written, and bounded."""

import sqlite3
from pathlib import Path

from bridge.legstory.shelf import Shelf, legs_on, shelf_file, taken_down


def test_what_was_put_is_found_again_and_only_the_latest_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.db.legs"
    shelf = Shelf(file, legs_max=3)
    shelf.put([{"leg": f"leg-{number}", "sip": ["é" * 50]} for number in range(5)])
    shelf.close()
    assert [bool(taken_down(file, f"leg-{number}")) for number in range(5)] == [
        *(False, False, True, True, True)
    ]
    assert taken_down(file, "leg-4") == {"leg": "leg-4", "sip": ["é" * 50]}
    again = Shelf(file, legs_max=3)
    again.put([{"leg": "leg-9"}])
    again.close()
    assert taken_down(file, "leg-2") is None
    assert taken_down(file, "leg-3") is not None


def test_a_shelf_that_is_not_there_or_is_no_shelf_has_nothing(tmp_path: Path) -> None:
    assert taken_down(shelf_file(f"sqlite:///{tmp_path}/none.db"), "leg-1") is None
    broken = tmp_path / "broken.legs"
    broken.write_bytes(b"this is no database, and it is longer than a header" * 9)
    assert taken_down(broken, "leg-1") is None


def test_a_disk_that_fails_loses_stories_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "broken.legs"
    file.write_bytes(b"this is no database, and it is longer than a header" * 9)
    shelf = Shelf(file, legs_max=3)
    shelf.put([{"leg": "leg-1"}])
    shelf.close()
    file.unlink()
    shelf = Shelf(file, legs_max=3)
    shelf.put([{"leg": "leg-2"}])
    shelf.close()
    assert sqlite3.connect(file).execute("SELECT count(*) FROM diary").fetchone() == (1,)


def test_the_legs_on_a_shelf_are_told_by_number_in_their_order(tmp_path: Path) -> None:
    file = shelf_file(f"sqlite:///{tmp_path}/bridge.db")
    assert not list(legs_on(file))
    shelf = Shelf(file, legs_max=9)
    abouts: tuple[dict[str, str], ...] = ({"number": "+15550000001"}, {})
    shelf.put([{"leg": f"leg-{n}", "about": one, "begun_ns": n} for n, one in enumerate(abouts)])
    shelf.close()
    assert list(legs_on(file)) == [("leg-0", "+15550000001", 0), ("leg-1", "", 1)]
