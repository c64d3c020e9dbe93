-- languages: How many videos does each language have, how many of them have a label, and how many have no text?
SELECT language,
       count(*) AS num_videos,
       count_if(cardinality(labels) > 0) AS num_labelled,
       count_if(text_quality = 'empty') AS num_without_text
FROM videos
GROUP BY language
ORDER BY num_videos DESC, language;

-- declarations: How often does the stored language differ from the language that the uploader declared?
SELECT declared_language, language, language_source, count(*) AS num_videos, round(avg(language_confidence), 3) AS mean_language_confidence
FROM videos
WHERE declared_language <> language
GROUP BY declared_language, language, language_source
ORDER BY num_videos DESC, declared_language, language, language_source;

-- regions: How many videos of each language come from each region, if the declared language has a region (en-GB)?
SELECT language, region, count(*) AS num_videos, count(DISTINCT channel_id) AS num_channels
FROM (SELECT language, channel_id, regexp_extract(locale, '-([A-Z]{2}|[0-9]{3})$', 1) AS region FROM videos) v
WHERE region <> ''
GROUP BY language, region
ORDER BY num_videos DESC, language, region;

-- weeks: How many videos were uploaded or changed per week (from Monday, UTC), and in how many languages?
SELECT date_trunc('week', updated_at) AS week, count(*) AS num_videos, count(DISTINCT language) AS num_languages
FROM videos
WHERE updated_at IS NOT NULL
GROUP BY date_trunc('week', updated_at)
ORDER BY week DESC;

-- channels: Which channels have the most videos, in how many languages, and what is their most frequent top category?
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

-- short_texts: How does the mean confidence depend on the quality and the source of the text?
SELECT v.text_quality, v.text_source, count(*) AS num_videos, round(avg(p.top_confidence), 3) AS mean_confidence
FROM videos v
JOIN predictions p ON p.video_id = v.video_id
GROUP BY v.text_quality, v.text_source
ORDER BY num_videos DESC, v.text_quality, v.text_source NULLS LAST;

-- same_text: Which texts occur in more than one video?
SELECT text_hash, min(title) AS title, count(*) AS num_videos, count(DISTINCT channel_id) AS num_channels
FROM videos
WHERE text_hash IS NOT NULL
GROUP BY text_hash
HAVING count(*) > 1
ORDER BY num_videos DESC, text_hash
LIMIT 20;

-- rejected: How many source rows were rejected by each rule?
SELECT rule, count(*) AS num_rows, count(DISTINCT run_id) AS num_runs, min(rejected_at) AS first_at, max(rejected_at) AS last_at
FROM rejected_videos
GROUP BY rule
ORDER BY num_rows DESC, rule;

-- countries [Spark]: How many videos name each country, and what share of them is labelled?
SELECT country, count(*) AS num_videos, round(avg(CASE WHEN size(labels) > 0 THEN 1.0 ELSE 0.0 END), 3) AS share_labelled
FROM videos LATERAL VIEW explode(countries) AS country
GROUP BY country
ORDER BY num_videos DESC, country;

-- countries [DuckDB]: How many videos name each country, and what share of them is labelled?
SELECT country, count(*) AS num_videos, round(avg(CASE WHEN len(labels) > 0 THEN 1.0 ELSE 0.0 END), 3) AS share_labelled
FROM videos, UNNEST(countries) AS u(country)
GROUP BY country
ORDER BY num_videos DESC, country;
