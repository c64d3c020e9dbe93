-- accuracy: What are the champion's top-1 accuracy, majority baseline and mean confidence in each language?
SELECT c.language, c.num_videos, a.support, a.top1, a.top1_low, a.top1_high, a.majority_baseline, c.mean_confidence, a.gap_to_training
FROM latest_language_confidence c
LEFT JOIN latest_language_accuracy a ON a.language = c.language
ORDER BY c.num_videos DESC, c.language;

-- overconfident: In which languages is the mean confidence higher than the accuracy? (`beyond_chance`: higher than the accuracy's 95 % interval)
SELECT c.language, a.support, round(c.mean_confidence, 3) AS mean_confidence, round(a.top1, 3) AS top1,
       round(c.mean_confidence - a.top1, 3) AS excess, c.mean_confidence > a.top1_high AS beyond_chance
FROM latest_language_confidence c
JOIN latest_language_accuracy a ON a.language = c.language
ORDER BY beyond_chance DESC, excess DESC, c.language;

-- against_majority: In which languages is the model not better than the majority baseline?
SELECT language, support, round(top1, 3) AS top1, round(majority_baseline, 3) AS majority_baseline, round(top1 - majority_baseline, 3) AS gain
FROM latest_language_accuracy
ORDER BY gain, language;

-- weak_categories: Which categories have the lowest recall over all languages?
SELECT category, sum(support) AS support, sum(num_predicted) AS num_predicted, sum(num_right) AS num_right,
       round(sum(num_right) / nullif(sum(support), 0), 3) AS recall,
       round(sum(num_right) / nullif(sum(num_predicted), 0), 3) AS precision
FROM latest_category_accuracy
GROUP BY category
HAVING sum(support) > 0
ORDER BY recall, category;

-- category_in_language: What are precision, recall and F1 of one category (here: music) in each language?
SELECT language, support, num_predicted, num_right, round(precision, 3) AS precision, round(recall, 3) AS recall, round(f1, 3) AS f1
FROM latest_category_accuracy
WHERE category = 'music' AND support > 0
ORDER BY support DESC, language;

-- over_versions: How did the accuracy of each language change from model version to model version?
SELECT language, model_version, max(evaluated_at) AS evaluated_at, max_by(support, evaluated_at) AS support, round(max_by(top1, evaluated_at), 3) AS top1
FROM language_accuracy
GROUP BY language, model_version
ORDER BY language, evaluated_at, model_version;

-- coverage: What is the top-1 accuracy on the most confident 50 %, 80 % and 100 % of the videos of each language?
SELECT language, support, round(top1_at_50, 3) AS top1_at_50, round(top1_at_80, 3) AS top1_at_80, round(top1_at_100, 3) AS top1_at_100
FROM latest_language_accuracy
ORDER BY support DESC, language;

-- mistaken_for: Which pairs of label and wrong top category are most frequent?
SELECT label, top_category, sum(num_videos) AS num_videos, count(DISTINCT language) AS num_languages
FROM confusion
WHERE label <> top_category AND evaluation_id = (SELECT max(evaluation_id) FROM latest_language_confidence)
GROUP BY label, top_category
ORDER BY num_videos DESC, label, top_category
LIMIT 20;

-- label_issues: Which labels are probably wrong, and which videos are most useful to label, three of each per language?
SELECT language, issue, video_id, title, score, reason
FROM (
  SELECT i.language, i.issue, i.video_id, v.title, i.score, i.reason,
         row_number() OVER (PARTITION BY i.language, i.issue ORDER BY i.score DESC, i.video_id) AS place
  FROM label_issues i
  JOIN videos v ON v.video_id = i.video_id
  WHERE i.evaluation_id = (SELECT max(evaluation_id) FROM latest_language_confidence)
) ranked
WHERE place <= 3
ORDER BY language, issue, place;

-- contradicted_labels: For which labelled videos does the model predict another category with the highest confidence?
SELECT v.video_id, v.language, v.title, p.top_category, p.top_confidence
FROM videos v
JOIN predictions p ON p.video_id = v.video_id
WHERE cardinality(v.labels) > 0 AND NOT array_contains(v.labels, p.top_category)
ORDER BY p.top_confidence DESC, v.video_id
LIMIT 20;

-- encoders: How accurate by group of languages, how fast and how large is each encoder of the newest comparison (`jobs/compare_encoders.py`)?
SELECT contender,
       round(max(CASE WHEN language = 'training' THEN top1 END), 3) AS top1_training,
       round(max(CASE WHEN language = 'known' THEN top1 END), 3) AS top1_known,
       round(max(CASE WHEN language = 'other' THEN top1 END), 3) AS top1_other,
       round(max(CASE WHEN language = 'other' THEN gain END), 3) AS gain_other,
       round(max(CASE WHEN language = 'other' THEN gain_low END), 3) AS gain_low_other,
       round(max(CASE WHEN language = 'other' THEN gain_high END), 3) AS gain_high_other,
       round(max(milliseconds_per_text), 2) AS milliseconds_per_text, round(max(cost_per_million), 2) AS cost_per_million,
       round(max(model_mib), 0) AS model_mib, round(max(vector_bytes), 0) AS vector_bytes
FROM encoder_comparison
WHERE comparison_id = (SELECT max_by(comparison_id, compared_at) FROM encoder_comparison)
GROUP BY contender
ORDER BY milliseconds_per_text, contender;
