-- KEYS what the fleet's names begin with; ARGV passenger, the number that was read. Answers 1 if there was no change
-- since, else 0.
local outbox = KEYS[1] .. ':outbox'
if redis.call('ZSCORE', outbox, ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', outbox, ARGV[1])
return 1
