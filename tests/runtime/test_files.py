"""Whole files and folders, or none; and digests of files."""

import pytest

from xlclass.runtime.files import file_written_whole, sha256_of, write_whole, written_whole


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def _fail_half_way(file, error):
    file.write_text("half")
    raise error


def test_write_whole_replaces_a_file_makes_its_folder_and_leaves_no_draft(tmp_path):
    file = tmp_path / "new" / "plan.json"
    for text in ("first", "zweitens: ü"):
        write_whole(file, text)
        assert file.read_text(encoding="utf-8") == text
    assert _names(file.parent) == ["plan.json"]


def test_file_written_whole_keeps_the_old_file_if_the_block_fails(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), file_written_whole(file) as draft:
        _fail_half_way(draft, KeyboardInterrupt)
    assert file.read_text() == "old"
    assert _names(tmp_path) == ["plan.json"]


@pytest.mark.parametrize(("replace", "kept"), [(True, "second"), (False, "first")])
def test_written_whole_replaces_a_folder_or_keeps_it(tmp_path, replace, kept):
    for text in ("first", "second"):
        with written_whole(tmp_path / "model", replace) as draft:
            (draft / "file").write_text(text)
    assert (tmp_path / "model" / "file").read_text() == kept
    assert _names(tmp_path) == ["model"]


def test_written_whole_leaves_nothing_if_the_block_fails(tmp_path):
    with pytest.raises(OSError, match="disk"), written_whole(tmp_path / "model", replace=True) as draft:
        _fail_half_way(draft / "file", OSError("the disk is full"))
    assert _names(tmp_path) == []


def test_sha256_of_gives_the_published_digests(tmp_path):
    """FIPS 180-2, appendix B: "abc", and a million times "a", which is more than one block of reading."""
    file = tmp_path / "file"
    expected = {
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        b"a" * 1_000_000: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    }
    for contents, digest in expected.items():
        file.write_bytes(contents)
        assert sha256_of(file) == digest
