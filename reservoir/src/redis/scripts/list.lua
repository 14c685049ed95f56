-- KEYS what the fleet's names begin with; ARGV the index, the id behind which to begin or nothing, the letter of
-- a state or nothing, how many are wanted, how many to look at. Answers the id that was looked at last, or
-- nothing if there are no more behind it, and the records.
local wanted, looked_at_max, answer = tonumber(ARGV[4]), tonumber(ARGV[5]), { '' }
local from = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local ids = redis.call('ZRANGE', KEYS[1] .. ':' .. ARGV[1], from, '+', 'BYLEX', 'LIMIT', 0, looked_at_max + 1)
for number, id in ipairs(ids) do
  if number > looked_at_max or #answer > wanted then
    answer[1] = ids[number - 1]
    return answer
  end
  local record = redis.call('GET', KEYS[1] .. ':p:' .. id)
  if ARGV[3] == '' or string.sub(record, 1, 1) == ARGV[3] then answer[#answer + 1] = record end
end
return answer
