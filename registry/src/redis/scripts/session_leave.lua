-- KEYS rows, owner; ARGV connection id, what its row begins with in the generation meant, seconds that the
-- owner keeps the session from now. Answers how many rows were removed.
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row or string.sub(row, 1, #ARGV[2]) ~= ARGV[2] then return 0 end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return redis.call('HDEL', KEYS[1], ARGV[1])
