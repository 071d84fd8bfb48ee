-- Apply labels to the frauds of states, each once. KEYS: facts | states | labels. ARGV: facts, the plan (MessagePack):
--   {layouts {size, keep, windows {width, ring, counts, frauds, ...}}, the layout of each state's key,
--    rows {time, whether it is fraud, number of its label, numbers of its states or 0}, milliseconds labels stay}
-- What was applied is remembered by the transaction's id. Gives of each row 1 where it changed something.

local plan = cmsgpack.unpack(ARGV[2])
local layouts, of_key, rows, stay = plan[1], plan[2], plan[3], plan[4]

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('NOFACTS') end

local function bucket(time, width)
  local rest = math.fmod(time, width)
  if rest < 0 then rest = rest + width end
  return (time - rest) / width
end

local function apply(name, layout, time, by)
  local header, applied = redis.call('GETRANGE', name, 0, 15), 0
  if #header < 16 then return 0 end
  local latest = struct.unpack('>i8', string.sub(header, 9, 16))
  for _, window in ipairs(layout[3]) do
    local width, ring, _, frauds = unpack(window)
    local newest, now = bucket(latest, width), bucket(time, width)
    if frauds >= 0 and now > newest - ring and now <= newest then
      redis.call('BITFIELD', name, 'OVERFLOW', 'SAT', 'INCRBY', 'u32', (frauds + 4 * (now % ring)) * 8, by)
      applied = 1
    end
  end
  return applied
end

local changed = {}
for place, row in ipairs(rows) do
  local time, fraud, id, of_row = unpack(row)
  local name = KEYS[1 + #of_key + id]
  changed[place] = 0
  if (redis.call('EXISTS', name) == 1) ~= fraud then
    for _, number in ipairs(of_row) do
      if number > 0 then
        changed[place] = math.max(changed[place],
          apply(KEYS[1 + number], layouts[of_key[number]], time, fraud and 1 or -1))
      end
    end
    if not fraud then
      redis.call('DEL', name)
    elseif changed[place] == 1 then
      redis.call('SET', name, '', 'PX', stay)
    end
  end
end
return changed
