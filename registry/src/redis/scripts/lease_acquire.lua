-- KEYS nodes; ARGV node, generation, lease ms, deadline ms of this clock.
-- Answers 'held', 'over' (this generation or a later one had its lease), or 'late' (past the deadline:
-- whoever asked has given up, so that a lease now would be nobody's).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[4]) then return 'late' end
local node, generation = ARGV[1], tonumber(ARGV[2])
local earlier = {}
local leases = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local other_node, other = string.match(leases[i], '^(.*)%.(%d+)$')
  if other_node == node then
    local ends = tonumber(leases[i + 1])
    other = tonumber(other)
    if other > generation or (other == generation and ends <= now) then return 'over' end
    if other < generation and ends > now then earlier[#earlier + 1] = leases[i] end
  end
end
for _, member in ipairs(earlier) do redis.call('ZADD', KEYS[1], string.format('%.0f', now), member) end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), node .. '.' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], 86400)
return 'held'
