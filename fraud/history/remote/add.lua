-- Add transactions to states, in their order: windows.c's additions, of which the caller counts the features.
--
-- A state is a string of `layout.size` bytes (layout.py), big-endian for BITFIELD; a key never seen has none. Numbers
-- are doubles here: times are below 2^53 microseconds, and sums are added by BITFIELD, in 64 bits.
--
-- KEYS: facts | states | ids. Rows: {time, number of its id or 0, numbers of its states or 0, values or false}.
-- Gives the states as they were, then of each row what its id got before, or nothing where it was added now.

local AT_ONCE = 4000 -- arguments: Lua's stack has an end

local function flush(key)
  if #key.ops > 0 then redis.call('BITFIELD', key.name, unpack(key.ops)) end
  key.ops = {}
end

local format = string.format

local function change(key, how, kind, offset, value) -- whole numbers are quicker to write than others
  if #key.ops >= AT_ONCE then flush(key) end
  local ops, count = key.ops, #key.ops
  ops[count + 1], ops[count + 2] = how, kind
  ops[count + 3], ops[count + 4] = format('%d', offset * 8), format('%d', value)
end

local ZEROS = { u32 = string.rep('\0', 4), i64 = string.rep('\0', 8) }

local function clear(key, kind, offset)
  if key.changed or string.sub(key.state, offset + 1, offset + #ZEROS[kind]) ~= ZEROS[kind] then
    change(key, 'SET', kind, offset, 0)
  end
end

local function add(key, time, values)
  local layout = layouts[key.layout]
  if not key.latest then redis.call('SET', key.name, key.state) end -- as long as it will ever be
  local before = key.latest or time
  local latest = math.max(before, time)
  for _, window in ipairs(layout[3]) do
    local width, ring, counts, frauds, sums, held = unpack(window)
    local newest, now = bucket(latest, width), bucket(time, width)
    for number = math.max(bucket(before, width) + 1, newest - ring + 1), newest do
      local at = number % ring
      clear(key, 'u32', counts + 4 * at)
      if frauds >= 0 then clear(key, 'u32', frauds + 4 * at) end
      for place, sum in ipairs(sums) do
        clear(key, 'i64', sum + 8 * at)
        if held[place] ~= counts then clear(key, 'u32', held[place] + 4 * at) end
      end
    end
    if now > newest - ring then
      local at = now % ring
      change(key, 'INCRBY', 'u32', counts + 4 * at, 1)
      for place, sum in ipairs(sums) do
        if values[place] then
          change(key, 'INCRBY', 'i64', sum + 8 * at, values[place])
          if held[place] ~= counts then change(key, 'INCRBY', 'u32', held[place] + 4 * at, 1) end
        end
      end
    end
  end
  key.latest, key.changed = latest, true
end

local reply, keys, noted = {}, {}, {}
for number, layout in ipairs(of_key) do
  local name = KEYS[1 + number]
  local state = redis.call('GET', name)
  local key = { name = name, layout = layout, ops = {}, state = state or string.rep('\0', layouts[layout][1]) }
  if state then
    key.latest = struct.unpack('>i8', string.sub(state, 9, 16))
  end
  reply[number], keys[number] = state or '', key
end

for place, row in ipairs(rows) do
  local time, id, of_row, values = unpack(row)
  local name = id > 0 and KEYS[1 + #keys + id]
  local known = name and redis.call('GET', name)
  reply[#keys + place] = known or ''
  if not known then
    local before = {}
    for part, number in ipairs(of_row) do
      local key = keys[number]
      before[part] = key and key.latest and format('%d', key.latest) or ''
      if key then add(key, time, values[part]) end
    end
    if name then noted[#noted + 1] = { name, '?' .. table.concat(before, ',') } end
  end
end

for number, key in ipairs(keys) do
  if key.changed then
    flush(key)
    redis.call('SETRANGE', key.name, 0, struct.pack('>i8i8', 1, key.latest))
    redis.call('PEXPIRE', key.name, layouts[key.layout][2])
  end
end
for _, one in ipairs(noted) do redis.call('SET', one[1], one[2], 'PX', stay) end
return reply
