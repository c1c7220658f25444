-- One version of the program, as it was written.
SELECT document FROM programs WHERE version = $1
