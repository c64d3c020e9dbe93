"""Channel profiles."""

from xlclass.catalog.channels import channel_profiles

SCHEMA = "video_id string, channel_id string, tags array<string>, language string"


def _profiles(spark, rows):
    return {row["channel_id"]: row for row in channel_profiles(spark.createDataFrame(rows, SCHEMA)).collect()}


def test_channel_profiles_have_the_tags_of_several_videos_most_frequent_first(spark):
    rows = [(f"v{i}", "c", tags, None) for i, tags in enumerate([["Rock", "live", "live"], ["rock ", "live", "once"], ["ROCK", ""]])]
    profile = _profiles(spark, rows)["c"]
    assert profile["tags"] == ["rock", "live"]
    assert profile["num_videos"] == 3


def test_channel_profiles_have_at_most_ten_tags_in_a_fixed_order(spark):
    tags = [f"tag{i:02}" for i in range(30)]
    rows = [(f"v{i}", "c", tags if i % 2 else tags[::-1], None) for i in range(4)]
    assert _profiles(spark, rows)["c"]["tags"] == tags[:10]


def test_channel_profiles_have_a_usual_language_only_if_most_videos_declare_it(spark):
    declared = {"one": ["en"], "most": ["en-GB", "en", "fr", None], "half": ["de", "de", "nl", "nl"], "renamed": ["iw", "he-IL"], "none": [None, "und"]}
    rows = [(f"{name}{i}", name, ["x"], code) for name, codes in declared.items() for i, code in enumerate(codes)]
    profiles = _profiles(spark, rows)
    assert {name: profiles[name]["language"] if name in profiles else None for name in declared} == {
        "one": None, "most": "en", "half": None, "renamed": "he", "none": None,
    }  # fmt: skip
    assert "one" not in profiles  # neither a frequent tag nor a usual language


def test_channel_profiles_are_empty_without_channels(spark):
    assert _profiles(spark, [("v", None, ["a"], "en"), ("w", None, ["a"], "en")]) == {}


def test_channel_profiles_count_a_video_of_several_rows_once(spark):
    rows = [("v", "c", ["once"], "fr"), ("v", "c", ["once"], "fr"), ("w", "c", ["both"], "fr"), ("x", "c", ["both"], None), (None, "c", ["once"], None)]
    profile = _profiles(spark, rows)["c"]
    assert profile["tags"] == ["both"]
    assert profile["num_videos"] == 3
