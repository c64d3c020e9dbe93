-- versions: What happened to each model version and when, and what was its validation loss?
SELECT event_number, model_version, event, happened_at, round(metrics['val_loss'], 4) AS val_loss
FROM models
ORDER BY event_number;

-- scored_by: Which model versions made the current predictions, and when?
SELECT model_version, encoder_id, count(*) AS num_videos, min(predicted_at) AS first_at, max(predicted_at) AS last_at
FROM predictions
GROUP BY model_version, encoder_id
ORDER BY last_at DESC, model_version;

-- changed: How many videos have different top categories from the two newest champions, by language and pair of categories?
WITH champions AS (
  SELECT model_version, row_number() OVER (ORDER BY max(event_number) DESC) AS age
  FROM models
  WHERE event = 'champion'
  GROUP BY model_version
),
last_predictions AS (
  SELECT c.age, l.video_id, l.language, max_by(l.top_category, l.predicted_at) AS top_category
  FROM prediction_log l
  JOIN champions c ON c.model_version = l.model_version
  WHERE c.age <= 2 AND l.top_category IS NOT NULL
  GROUP BY c.age, l.video_id, l.language
)
SELECT now.language, before.top_category AS category_before, now.top_category AS category_now, count(*) AS num_videos
FROM last_predictions now
JOIN last_predictions before ON before.video_id = now.video_id AND before.age = 2
WHERE now.age = 1 AND before.top_category <> now.top_category
GROUP BY now.language, before.top_category, now.top_category
ORDER BY num_videos DESC, now.language, category_before, category_now;

-- runs: What were the last 20 runs, how long did they take, and what was their outcome?
SELECT started_at, job, outcome, finished_at - started_at AS duration, rows_in, rows_ok, rows_rejected, rows_reused, message
FROM runs
ORDER BY started_at DESC
LIMIT 20;

-- rules: How many rows did each of three rules match in each run?
SELECT started_at, source, source_version, rows_in,
       rules['duplicate_video_id'] AS duplicate_video_id, rules['unknown_label'] AS unknown_label, rules['language_conflict'] AS language_conflict
FROM runs
WHERE rows_in IS NOT NULL
ORDER BY started_at DESC;

-- rejected_by_run: What share of its rows did each run reject, and how many rejections were new?
SELECT r.started_at, r.run_id, r.rows_in, r.rows_rejected, round(r.rows_rejected / nullif(r.rows_in, 0), 4) AS share_rejected, count(x.rule) AS num_new
FROM runs r
LEFT JOIN rejected_videos x ON x.run_id = r.run_id
WHERE r.rows_in IS NOT NULL
GROUP BY r.started_at, r.run_id, r.rows_in, r.rows_rejected
ORDER BY r.started_at DESC;

-- steps [Spark]: How long did each step of each run take?
SELECT r.started_at, r.job, step.name, round(step.seconds, 1) AS seconds, step.num_rows
FROM runs r LATERAL VIEW explode(r.steps) AS step
ORDER BY r.started_at DESC, seconds DESC, step.name;

-- steps [DuckDB]: How long did each step of each run take?
SELECT r.started_at, r.job, step.name, round(step.seconds, 1) AS seconds, step.num_rows
FROM runs r, UNNEST(r.steps) AS u(step)
ORDER BY r.started_at DESC, seconds DESC, step.name;
