-- categories: What share of a language's videos has each category as top category?
SELECT language, top_category, count(*) AS num_videos, round(count(*) / sum(count(*)) OVER (PARTITION BY language), 3) AS share
FROM predictions
WHERE top_category IS NOT NULL
GROUP BY language, top_category
ORDER BY language, num_videos DESC, top_category;

-- confidence: How confident are the predictions in each language?
SELECT language,
       count(*) AS num_videos,
       round(avg(top_confidence), 3) AS mean_confidence,
       round(CAST(median(top_confidence) AS double), 3) AS median_confidence,
       round(avg(CASE WHEN top_confidence >= 0.9 THEN 1.0 ELSE 0.0 END), 3) AS share_from_09
FROM predictions
WHERE top_confidence IS NOT NULL
GROUP BY language
ORDER BY mean_confidence DESC, language;

-- confidence_bands: How many videos of each category are in each tenth of the confidence?
SELECT top_category, CAST(least(floor(top_confidence * 10), 9) AS double) / 10 AS confidence_from, count(*) AS num_videos
FROM predictions
WHERE top_confidence IS NOT NULL
GROUP BY top_category, least(floor(top_confidence * 10), 9)
ORDER BY top_category, confidence_from;

-- without_category: How many videos have no category, by language and reason?
SELECT language, status, count(*) AS num_videos, round(avg(top_confidence), 3) AS mean_confidence
FROM predictions
WHERE categories IS NULL OR cardinality(categories) = 0
GROUP BY language, status
ORDER BY num_videos DESC, language, status;

-- category_by_week: How does the share of a category (here: music) change from week to week?
SELECT date_trunc('week', v.updated_at) AS week,
       count(*) AS num_videos,
       count_if(p.top_category = 'music') AS num_of_category,
       round(avg(CASE WHEN p.top_category = 'music' THEN 1.0 ELSE 0.0 END), 3) AS share
FROM predictions p
JOIN videos v ON v.video_id = p.video_id
WHERE v.updated_at IS NOT NULL
GROUP BY date_trunc('week', v.updated_at)
ORDER BY week DESC;

-- category_by_country: How many videos has each category in some countries (here: France, Canada and Germany)?
SELECT c.country, p.top_category, count(*) AS num_videos
FROM (VALUES ('FR'), ('CA'), ('DE')) AS c(country)
JOIN videos v ON array_contains(v.countries, c.country)
JOIN predictions p ON p.video_id = v.video_id
WHERE p.top_category IS NOT NULL
GROUP BY c.country, p.top_category
ORDER BY c.country, num_videos DESC, p.top_category;

-- category_by_region: What is the most frequent category in each region of a language?
SELECT language, region, top_category, num_videos
FROM (
  SELECT v.language, v.region, p.top_category, count(*) AS num_videos,
         row_number() OVER (PARTITION BY v.language, v.region ORDER BY count(*) DESC, p.top_category) AS place
  FROM (SELECT video_id, language, regexp_extract(locale, '-([A-Z]{2}|[0-9]{3})$', 1) AS region FROM videos) v
  JOIN predictions p ON p.video_id = v.video_id
  WHERE v.region <> '' AND p.top_category IS NOT NULL
  GROUP BY v.language, v.region, p.top_category
) ranked
WHERE place = 1
ORDER BY num_videos DESC, language, region;

-- of_category: Which videos have the highest confidence in a category (here: music) in one language (here: English)?
SELECT p.video_id, v.title, p.confidences['music'] AS confidence
FROM predictions p
JOIN videos v ON v.video_id = p.video_id
WHERE p.language = 'en' AND p.confidences['music'] IS NOT NULL
ORDER BY confidence DESC, p.video_id
LIMIT 20;

-- all_confidences: What is the confidence of every category for the videos of a channel? (one row per video and category)
SELECT p.video_id, c.category, p.confidences[c.category] AS confidence
FROM predictions p
JOIN videos v ON v.video_id = p.video_id
CROSS JOIN (SELECT DISTINCT category FROM latest_category_accuracy) c
WHERE v.channel_id = (SELECT min(channel_id) FROM videos) AND p.confidences IS NOT NULL
ORDER BY p.video_id, confidence DESC, c.category;

-- close_calls: Which videos have the smallest gap between their first and second category?
SELECT video_id, language, top_category, second_category, round(CAST(top_confidence - second_confidence AS double), 4) AS gap
FROM (
  SELECT p.video_id, p.language, p.top_category, p.top_confidence, c.category AS second_category, p.confidences[c.category] AS second_confidence,
         row_number() OVER (PARTITION BY p.video_id ORDER BY p.confidences[c.category] DESC, c.category) AS place
  FROM predictions p
  CROSS JOIN (SELECT DISTINCT category FROM latest_category_accuracy) c
  WHERE p.top_category <> c.category
) ranked
WHERE place = 1
ORDER BY gap, video_id
LIMIT 20;

-- worth_labelling: Which three unlabelled videos of each language have the lowest confidence, and so are most useful to label?
SELECT language, video_id, title, top_category, top_confidence
FROM (
  SELECT v.language, v.video_id, v.title, p.top_category, p.top_confidence,
         row_number() OVER (PARTITION BY v.language ORDER BY p.top_confidence, v.video_id) AS place
  FROM videos v
  JOIN predictions p ON p.video_id = v.video_id
  WHERE cardinality(v.labels) = 0 AND v.text_quality = 'ok' AND p.top_confidence IS NOT NULL
) ranked
WHERE place <= 3
ORDER BY language, place;

-- predictions_long [Spark]: What are the rows of the view predictions_long, one per video and predicted category?
SELECT p.video_id, p.language, predicted.category, predicted.confidence, p.model_version, p.predicted_at
FROM predictions p LATERAL VIEW explode(p.categories) AS predicted
ORDER BY p.video_id, predicted.confidence DESC, predicted.category;

-- predictions_long [DuckDB]: What are the rows of the view predictions_long, one per video and predicted category?
SELECT p.video_id, p.language, predicted.category, predicted.confidence, p.model_version, p.predicted_at
FROM predictions p, UNNEST(p.categories) AS u(predicted)
ORDER BY p.video_id, predicted.confidence DESC, predicted.category;

-- alike [DuckDB]: Which videos of its encoder are most similar to a given one? (float16s is in TABLES.md; with more than 100,000 videos use numpy)
WITH vectors AS MATERIALIZED (
  SELECT e.video_id, e.encoder_id, float16s(e.vector) AS numbers
  FROM embeddings e
  JOIN predictions p ON p.video_id = e.video_id AND p.encoder_id = e.encoder_id
  WHERE e.vector IS NOT NULL
),
mine AS (SELECT * FROM vectors ORDER BY video_id LIMIT 1)
SELECT other.video_id, v.language, v.title, round(list_cosine_similarity(mine.numbers, other.numbers), 4) AS likeness
FROM mine
JOIN vectors other ON other.encoder_id = mine.encoder_id AND other.video_id <> mine.video_id
JOIN videos v ON v.video_id = other.video_id
ORDER BY likeness DESC, other.video_id
LIMIT 10;
