-- KEYS what the fleet's names begin with; ARGV vehicle, 'ids' or 'records'. Answers nothing if there is no such
-- vehicle; else what is known of it, and those on board in the order of boarding.
local vehicle = KEYS[1] .. ':v:' .. ARGV[1]
local text = redis.call('GET', vehicle)
if not text then return {} end
local answer = { text }
for _, id in ipairs(redis.call('ZRANGE', vehicle .. ':on', 0, -1)) do
  answer[#answer + 1] = ARGV[2] == 'ids' and id or redis.call('GET', KEYS[1] .. ':p:' .. id)
end
return answer
