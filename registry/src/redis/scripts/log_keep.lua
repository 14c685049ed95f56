-- KEYS topic; ARGV age ms. Somebody follows a topic in which nothing has been said for long: what is
-- remembered of it is for as long again. Harmless at any time.
local meta = redis.call('GET', KEYS[1] .. ':meta')
if not meta then return 0 end
local front, back = string.match(meta, '^([^|]*|%d+|%d+|%a|)%d+(|%d+|%d+)$')
keep_topic(KEYS[1], string.format('%s%d%s', front, clock_ms(redis.call('TIME')), back), tonumber(ARGV[1]))
return 1
