-- KEYS what the fleet's names begin with; ARGV passengers. Answers 1.
local outbox = KEYS[1] .. ':outbox'
for _, id in ipairs(ARGV) do
  redis.call('ZADD', outbox, 'NX', redis.call('INCR', KEYS[1] .. ':outbox:last'), id)
end
return 1
