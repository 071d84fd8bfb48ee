-- Apply labels to the frauds of states, each once: as labels.py does. KEYS: facts | states | labels.
-- Rows: {time, whether it is fraud, its labels and the states of them {number, number}}.
-- What was applied is remembered by the transaction's id, of each layout apart. Gives what became of each row's labels.

local function apply(name, layout, time, by)
  local header, changes = redis.call('GETRANGE', name, 0, 15), {}
  if #header < 16 then return 'unknown' end
  local latest = struct.unpack('>i8', string.sub(header, 9, 16))
  for _, window in ipairs(layout[3]) do
    local width, ring, counts, frauds = unpack(window)
    local newest, now = bucket(latest, width), bucket(time, width)
    if now > newest - ring then
      local at = 32 * (now % ring)
      local found = redis.call('BITFIELD', name, 'GET', 'u32', 8 * counts + at, 'GET', 'u32', 8 * frauds + at)
      local after = found[2] + by
      if now > newest or after < 0 or after > found[1] then return 'unknown' end
      changes[#changes + 1] = 8 * frauds + at
    end
  end
  for _, at in ipairs(changes) do redis.call('BITFIELD', name, 'INCRBY', 'u32', at, by) end
  if #changes == 0 then return 'late' end
  return by > 0 and 'applied' or 'taken_back'
end

for number in ipairs(of_key) do redis.call('STRLEN', KEYS[1 + number]) end -- what is no state is found out in time

local said = {}
for place, row in ipairs(rows) do
  local time, fraud, labels = unpack(row)
  local own = {}
  for part, pair in ipairs(labels) do
    local label, state = KEYS[1 + #of_key + pair[1]], pair[2]
    own[part] = 'unchanged'
    if (redis.call('EXISTS', label) == 1) ~= fraud then
      local by = fraud and 1 or -1
      own[part] = apply(KEYS[1 + state], layouts[of_key[state]], time, by)
      if by < 0 then
        redis.call('DEL', label)
      elseif own[part] ~= 'unknown' then
        redis.call('SET', label, '', 'PX', stay)
      end
    end
  end
  said[place] = own
end
return said
