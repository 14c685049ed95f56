-- The rest of a release: somebody may stand in line.
local turn, of_turn = redis.call('GET', KEYS[2]), 0
if turn then
  local _
  _, of_turn = pass_turn(turn, now, time[1] * 1000000 + time[2], '')
end
return {'released', '', of_turn}
