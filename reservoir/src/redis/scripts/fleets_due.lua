-- KEYS the list of fleets; ARGV in how many ms a fleet is looked at again, whatever happens to whoever looks
-- now; at most how many fleets. Answers whose fleets want to be looked at now.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGE', KEYS[1], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, tenant in ipairs(due) do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1]), tenant)
end
return due
