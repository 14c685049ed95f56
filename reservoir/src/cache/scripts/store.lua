-- KEYS what the fleet's names begin with; ARGV pool, the version under which the load began, the entry's name, how
-- many ms it lives, the entry. Answers 1, or 0 if the pool has changed meanwhile: then nothing is stored.
local version = redis.call('HGET', KEYS[1] .. ':versions', ARGV[1]) or '0'
if version ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1] .. ':cache:' .. ARGV[3], ARGV[5], 'PX', ARGV[4])
return 1
