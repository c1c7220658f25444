-- How many versions there are. The lock that this takes on the table lasts until the end of the transaction: none can be
-- added until then.
SELECT count(*) AS versions FROM programs
