-- How many adjustments of an import were to give points.
SELECT count(*) FROM adjustments WHERE import_id = $1 AND points > 0 AND source = $2
