-- KEYS what the fleet's names begin with; ARGV deadline in ms of this clock, in how many ms the push will have
-- ended, most that may wait; then of each passenger the id and when it was spawned. Answers 'done'; 'late';
-- 'busy' and who is of another push; or 'full' and how much waits.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return { 'late' } end
local pushes = KEYS[1] .. ':outbox:pushes'
local waiting = redis.call('ZCARD', KEYS[1] .. ':outbox') + redis.call('ZCARD', pushes)
-- A list that is longer than all that may wait is let through when nothing else waits.
if waiting > 0 and waiting + (#ARGV - 3) / 2 > tonumber(ARGV[3]) then
  return { 'full', string.format('%.0f', waiting) }
end
for at = 4, #ARGV, 2 do
  if redis.call('ZSCORE', pushes, ARGV[at]) then return { 'busy', ARGV[at] } end
end
local over = string.format('%.0f', now + ARGV[2])
for at = 4, #ARGV, 2 do
  redis.call('ZADD', pushes, over, ARGV[at])
  redis.call('HSET', KEYS[1] .. ':outbox:spawned', ARGV[at], ARGV[at + 1])
end
return { 'done' }
