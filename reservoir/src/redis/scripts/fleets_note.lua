-- KEYS the list of fleets; then ARGV in how many ms every fleet is looked at, when this one wants it at the
-- latest, and whose it is.
local time = redis.call('TIME')
local next = math.min(tonumber(ARGV[2]), time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
redis.call('ZADD', KEYS[1], 'LT', string.format('%.0f', next), ARGV[3])
