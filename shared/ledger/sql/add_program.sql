INSERT INTO programs (version, effective_from, document) VALUES ($1, $2, $3)
