-- languages: How many videos are there per language, how many have a label, and how many no text?
SELECT language,
       count(*) AS num_videos,
       count_if(cardinality(labels) > 0) AS num_labelled,
       count_if(text_quality = 'empty') AS num_without_text
FROM videos
GROUP BY language
ORDER BY num_videos DESC, language;

-- declarations: Where does the language that was decided differ from the one that the uploader declared?
SELECT declared_language, language, language_source, count(*) AS num_videos, round(avg(language_confidence), 3) AS mean_language_confidence
FROM videos
WHERE declared_language <> language
GROUP BY declared_language, language, language_source
ORDER BY num_videos DESC, declared_language, language, language_source;

-- regions: From which regions come the videos of a language, where the declared language names one (en-GB)?
SELECT language, region, count(*) AS num_videos, count(DISTINCT channel_id) AS num_channels
FROM (SELECT language, channel_id, regexp_extract(locale, '-([A-Z]{2}|[0-9]{3})$', 1) AS region FROM videos) v
WHERE region <> ''
GROUP BY language, region
ORDER BY num_videos DESC, language, region;

-- weeks: How many videos were uploaded or changed per week (of Monday, UTC), and in how many languages?
SELECT date_trunc('week', updated_at) AS week, count(*) AS num_videos, count(DISTINCT language) AS num_languages
FROM videos
WHERE updated_at IS NOT NULL
GROUP BY date_trunc('week', updated_at)
ORDER BY week DESC;

-- channels: Which channels have most videos, in how many languages, and which category do most of them get?
SELECT v.channel_id, count(*) AS num_videos, count(DISTINCT v.language) AS num_languages, b.top_category, b.num_videos AS num_of_category
FROM videos v
JOIN (
  SELECT channel_id, top_category, num_videos,
         row_number() OVER (PARTITION BY channel_id ORDER BY num_videos DESC, top_category) AS place
  FROM (
    SELECT v.channel_id, p.top_category, count(*) AS num_videos
    FROM videos v JOIN predictions p ON p.video_id = v.video_id
    WHERE v.channel_id IS NOT NULL AND p.top_category IS NOT NULL
    GROUP BY v.channel_id, p.top_category
  ) counted
) b ON b.channel_id = v.channel_id AND b.place = 1
GROUP BY v.channel_id, b.top_category, b.num_videos
ORDER BY num_videos DESC, v.channel_id
LIMIT 20;

-- short_texts: How much text did the predictions have to go by, and how sure are they for it?
SELECT v.text_quality, v.text_source, count(*) AS num_videos, round(avg(p.top_confidence), 3) AS mean_confidence
FROM videos v
JOIN predictions p ON p.video_id = v.video_id
GROUP BY v.text_quality, v.text_source
ORDER BY num_videos DESC, v.text_quality, v.text_source NULLS LAST;

-- same_text: Which texts occur in several videos?
SELECT text_hash, min(title) AS title, count(*) AS num_videos, count(DISTINCT channel_id) AS num_channels
FROM videos
WHERE text_hash IS NOT NULL
GROUP BY text_hash
HAVING count(*) > 1
ORDER BY num_videos DESC, text_hash
LIMIT 20;

-- rejected: Which rows of the source could not be used, by the rule that they break?
SELECT rule, count(*) AS num_rows, count(DISTINCT run_id) AS num_runs, min(rejected_at) AS first_at, max(rejected_at) AS last_at
FROM rejected_videos
GROUP BY rule
ORDER BY num_rows DESC, rule;

-- countries [Spark]: How many videos name each country, and which share of them is labelled?
SELECT country, count(*) AS num_videos, round(avg(CASE WHEN size(labels) > 0 THEN 1.0 ELSE 0.0 END), 3) AS share_labelled
FROM videos LATERAL VIEW explode(countries) AS country
GROUP BY country
ORDER BY num_videos DESC, country;

-- countries [DuckDB]: How many videos name each country, and which share of them is labelled?
SELECT country, count(*) AS num_videos, round(avg(CASE WHEN len(labels) > 0 THEN 1.0 ELSE 0.0 END), 3) AS share_labelled
FROM videos, UNNEST(countries) AS u(country)
GROUP BY country
ORDER BY num_videos DESC, country;
