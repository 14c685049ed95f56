-- KEYS what the fleet's names begin with; ARGV passengers. Answers 1.
for _, id in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1] .. ':outbox:pushes', id)
  redis.call('HDEL', KEYS[1] .. ':outbox:spawned', id)
end
return 1
