"""Damaged notes of killed runs, and links: one sentence that names file and way out, and nothing outside the lake is deleted."""

import json

import pytest

from xlclass.errors import LakeError
from xlclass.lake.notes import remove_within
from xlclass.lake.staging import Plan, Plans, Rescoring

PLAN = {"plan_id": "p1", "intent": {}, "num_chunks": 2, "num_pending": 1, "num_stale": 0, "num_gone": 0, "counts": {}, "rules": {}}
PLAN |= dict.fromkeys(("source", "source_version", "profile_version"))
BAD_PLANS = {
    "empty": "",
    "cut": json.dumps(PLAN)[:40],
    "no JSON": "plan",
    "a list": "[]",
    "null": "null",
    "key missing": json.dumps({"plan_id": "p1"}),
    "key too many": json.dumps(PLAN | {"more": 1}),
    "text for a number": json.dumps(PLAN | {"num_chunks": "2"}),
    "no chunks": json.dumps(PLAN | {"num_chunks": 0}),
    "texts for counts": json.dumps(PLAN | {"counts": {"rows_in": "1"}}),
    "unknown counts": json.dumps(PLAN | {"counts": {"rows_out": 1}}),
    "path upwards": json.dumps(PLAN | {"plan_id": "../../outside"}),
    "absolute path": json.dumps(PLAN | {"plan_id": "/etc"}),
    "no name": json.dumps(PLAN | {"plan_id": "."}),
}
BAD_RESCORINGS = {
    "empty": "",
    "cut": '{"resc',
    "another form": '{"id": 1}',
    "a number": json.dumps({"rescoring_id": 1, "model_version": "m"}),
    "path upwards": json.dumps({"rescoring_id": "../x", "model_version": "m"}),
    "absolute path": json.dumps({"rescoring_id": "/etc", "model_version": "m"}),
}


@pytest.fixture
def lake(tmp_path):
    """A lake's folder with an empty `_plan`, beside a folder with a file that must survive."""
    (tmp_path / "lake" / "_plan").mkdir(parents=True)
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    (tmp_path / "outside" / "inner" / "precious").write_text("x")
    yield tmp_path / "lake"
    assert (tmp_path / "outside" / "inner" / "precious").read_text() == "x"


@pytest.mark.parametrize("text", BAD_PLANS.values(), ids=BAD_PLANS)
def test_a_damaged_plan_is_refused_with_its_file_and_way_out_and_can_be_dropped(lake, text):
    (lake / "_plan" / "plan.json").write_text(text)
    plans = Plans(None, str(lake))
    for read in (plans.unfinished, plans.unfinished_ids):
        with pytest.raises(LakeError, match=r"_plan/plan\.json, .* cannot be read \(.+\): run jobs/backfill\.py with --abandon"):
            read()
    plans.drop()
    assert plans.unfinished() is None
    assert not (lake / "_plan").exists()


@pytest.mark.parametrize("text", BAD_RESCORINGS.values(), ids=BAD_RESCORINGS)
def test_a_damaged_rescoring_is_refused_with_its_file_and_way_out(lake, text):
    (lake / "_plan" / "rescoring.json").write_text(text)
    plans = Plans(None, str(lake))
    for read in (plans.unfinished_rescoring, plans.unfinished_ids):
        with pytest.raises(LakeError, match=r"_plan/rescoring\.json, .* cannot be read \(.+\): delete it"):
            read()


def test_notes_are_read_as_they_were_written(lake):
    plans = Plans(None, str(lake))
    plan = Plan("p1", {"source.path": "x", "--limit": None}, 3, 1, 2, 0, {"rows_in": 1}, {"null_video_id": 0}, "x", "f1", None)
    rescoring = Rescoring("r1", "m1")
    plans.begin(plan)
    plans.begin_rescoring(rescoring)
    assert (plans.unfinished(), plans.unfinished_rescoring()) == (plan, rescoring)


def test_a_link_in_place_of_the_plans_folder_or_a_note_is_refused(lake):
    (lake / "_plan" / "plan.json").symlink_to(lake.parent / "outside" / "inner" / "precious")
    with pytest.raises(LakeError, match=r"plan\.json is a symbolic link.*remove the link"):
        Plans(None, str(lake)).unfinished()
    (lake / "_plan" / "plan.json").unlink()
    (lake / "_plan").rmdir()
    (lake / "_plan").symlink_to(lake.parent / "outside")
    with pytest.raises(LakeError, match="_plan is a symbolic link"):
        Plans(None, str(lake))


def test_staged_rows_behind_a_link_are_not_deleted(lake):
    plans, link = Plans(None, str(lake)), lake / "_plan" / "p1"
    link.symlink_to(lake.parent / "outside")
    with pytest.raises(LakeError, match="leads out of the lake"):
        plans.drop_rows("p1", "inner")
    plans.drop_rows("p1")
    assert not link.is_symlink()
    link.symlink_to(lake.parent / "outside")
    plans.drop()
    assert not (lake / "_plan").exists()


def test_remove_within_refuses_the_lake_itself_and_what_lies_above(lake):
    for path in (lake, lake / "..", lake.parent, lake / "_plan" / ".." / ".." / "outside"):
        with pytest.raises(LakeError, match="leads out of the lake"):
            remove_within(lake, path)
    remove_within(lake, lake / "missing")
    remove_within(lake, lake / "_plan")
    assert lake.exists()
    assert not (lake / "_plan").exists()
