-- KEYS life; ARGV a life to begin if there is none. Answers the life of what this Redis holds.
local life = redis.call('GET', KEYS[1])
if not life then
  life = ARGV[1]
  redis.call('SET', KEYS[1], life)
end
return life
