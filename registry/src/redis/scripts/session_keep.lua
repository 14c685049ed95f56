-- KEYS rows, owner; ARGV connection id, row, seconds to live of the rows, of the owner, subject or ''.
-- Gives a session without an owner back to the subject. Answers 0, and writes nothing, when it has
-- become another's.
local owner = redis.call('GET', KEYS[2])
if ARGV[5] ~= '' then
  if owner and owner ~= ARGV[5] then return 0 end
  redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[4])
elseif owner then
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
