#!/usr/bin/env python3
"""Reads a ring file or a segment, written from the format pages (ring/FORMAT.md, compress/FORMAT.md) alone.

  independent_reader.py ring FILE...     prints the records and the gaps that recovery returns, one JSON object a line
  independent_reader.py segment FILE...  prints length and CRC-32C of the text, metadata frames, and seek table

It is an oracle: it shares no code with the implementation, and is simple rather than fast.
Prints a status after each file: 0 well-formed, 1 damaged or truncated (stderr has the damage), 2 not a ring or segment
of this version. The exit status is the highest of them.
"""

import json
import re
import signal
import struct
import subprocess
import sys

damage = []  # The damage of the current file, in the order in which it was found.


class NotThisFormat(Exception):
  """The file is not a ring or segment of a version that this program knows."""


def report_damage(message):
  damage.append(message)
  print('independent_reader: ' + message, file=sys.stderr)


def print_json(**fields):
  print(json.dumps(fields, separators=(',', ':')))


def make_crc_table():
  table = []
  for value in range(256):
    for _ in range(8):
      value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    table.append(value)
  return table


CRC_TABLE = make_crc_table()


def crc32c(data):
  crc = 0xFFFFFFFF
  for byte in data:
    crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
  return crc ^ 0xFFFFFFFF


# ---- Rings ----

RING_MAGIC = b'\x89RINGLOG'
FREE, FILLING, FILLED, PERSISTING, SKIPPED = range(5)


class Header:

  def __init__(self, data):
    magic, order, major, _, size, incompatible, _, self.slot_bytes, self.slot_count = struct.unpack_from(
        '<8sIHHIIIIQ', data)
    self.file_bytes, self.live, self.crash, self.crash_bytes, self.slots, self.ring_id = struct.unpack_from(
        '<QQQQQ16s', data, 48)
    self.first_position, = struct.unpack_from('<Q', data, 136)
    if (magic != RING_MAGIC or not 448 <= size <= len(data) or
        crc32c(data[:size - 4]) != struct.unpack_from('<I', data, size - 4)[0]):
      raise ValueError('no magic, or wrong checksum')
    # The checksum is right, so an unknown value below belongs to another version and is not damage.
    if order != 0x01020304 or major > 1 or incompatible:
      raise NotThisFormat('ring has another byte order, a newer major version, or unknown flags')
    if (self.slot_bytes % 64 or not self.slot_bytes or self.slot_count & (self.slot_count - 1)
        or not 2 <= self.slot_count <= 2**26):
      raise NotThisFormat('ring has an invalid slot size or slot count')


def read_header(data):
  for offset in (0, 2048):
    try:
      return Header(data[offset:offset + 2048].ljust(2048, b'\0'))
    except ValueError as error:
      report_damage(f'header at {offset}: {error}')
  raise NotThisFormat('not a ring: neither header is intact')


class Live:
  """The fields that change while the process lives."""

  def __init__(self, data, header):
    live = data[header.live:header.live + 1536].ljust(1536, b'\0')
    self.tail, = struct.unpack_from('<Q', live)
    self.released, = struct.unpack_from('<Q', live, 64)
    cursors = [live[512:1024], live[1024:]]
    intact = [crc32c(header.ring_id + cursor[:508]) == struct.unpack_from('<I', cursor, 508)[0] for cursor in cursors]
    numbers = [struct.unpack_from('<QQ', cursor) for cursor in cursors]
    last = live[448] & 1
    is_first = not any(cursors[last]) and numbers[1 - last][0] <= 1  # no cursor has been published before
    self.has_cursor = any(intact) and (intact[last] or is_first)
    if not intact[last] and not is_first:
      report_damage(f'cursor {last}: wrong checksum')
    self.cursor = max((n for n, fits in zip(numbers, intact) if fits), default=(0, header.first_position))[1]


class Slot:
  """The decoded bytes of a slot."""

  def __init__(self, data, index, header):
    self.is_absent = len(data) < header.slot_bytes
    if self.is_absent:
      data = bytes(header.slot_bytes)
    word, checksum, self.part, self.parts, stored, head_bytes, _, _, body_bytes = struct.unpack_from('<QIHHQHBBI', data)
    self.position, self.state = word >> 3, word & 7
    end = 32 + head_bytes + body_bytes
    self.head, self.body = data[32:32 + head_bytes], data[32 + head_bytes:end]
    fits = (end <= header.slot_bytes and stored != 0 and stored % header.slot_count == index
            and crc32c(header.ring_id + data[12:end]) == checksum)
    self.content = stored if fits else None  # the position of the content
    self.is_zero = word == 0
    self.is_invalid = not self.is_zero and (self.state > SKIPPED or self.position % header.slot_count != index)
    self.is_committed = not self.is_invalid and self.state in (FILLED, PERSISTING)
    self.is_intact = self.is_committed and self.content == self.position


def may_precede(slot, p, slots, header):
  """Returns whether the slot may be in the state before position p is claimed."""
  if slot.is_absent or slot.is_invalid:
    return False
  if slot.is_zero:
    return p < header.first_position + len(slots)
  return slot.state in (FREE, SKIPPED) and slot.position + len(slots) == p


def bounds(slots, live, header):
  """Returns the first and end position in use, and the lowest position of an intact slot."""
  lowest_held = min((slot.position for slot in slots if slot.is_intact), default=float('inf'))
  end = max([live.cursor] + [slot.content + 1 for slot in slots if slot.content is not None])
  reach = min(lowest_held, end) + len(slots)
  also = []
  for index, slot in enumerate(slots):
    is_word = not slot.is_absent and not slot.is_zero and not slot.is_invalid
    if is_word and (slot.content is None or not slot.is_committed):
      also.append(slot.position)
    last = live.tail - 1 - (live.tail - 1 - index) % len(slots)
    if (slot.content is None and last >= 0 and not (is_word and slot.position == last)
        and not may_precede(slot, last, slots, header)):
      also.append(last)
  for p in sorted(also):
    if end <= p < reach and (p < live.tail or p == end):
      end = p + 1
  begin = max(live.cursor, end - len(slots))
  if not live.has_cursor and live.released <= lowest_held:
    begin = max(begin, live.released)
  return begin, end, lowest_held


def decode_record(slots):
  """Returns the fields of the record in these slots, or None if the head is invalid."""
  head, body = slots[0].head, b''.join(slot.body for slot in slots)
  if len(head) < 40:
    return None
  time, tid, line, _, _, severity, _, fixed_bytes, file_bytes = struct.unpack_from('<qqiiIBBHH', head)
  if severity > 3 or fixed_bytes < 40 or fixed_bytes + file_bytes > len(head):
    return None
  name = head[fixed_bytes:fixed_bytes + file_bytes]
  return dict(position=slots[0].position, slots=len(slots), time_ns=time, tid=tid, line=line, severity=severity,
              file=name.decode('latin-1'), text=body.decode('latin-1'))


def is_of_other_claim(slot, p, part, parts):
  """Returns whether position p has another claim than that of this part."""
  if slot.is_absent or slot.is_zero or slot.is_invalid or slot.position != p:
    return False
  return slot.state == FILLING or (slot.is_intact and (slot.part, slot.parts) != (part, parts))


def visit(p, slots, live, lowest_held, header):
  """Returns the number of positions, the cause of a gap or None, and the fields of a record or None."""
  slot = slots[p % len(slots)]
  is_of_p = not slot.is_zero and slot.position == p
  if slot.is_absent or slot.is_invalid or (slot.is_committed and not is_of_p):
    return 1, 'missing', None
  if not slot.is_committed:
    if is_of_p and slot.state == FREE:
      is_released = p < live.released or not (live.has_cursor or p > lowest_held)
      return 1, 'missing' if slot.content == p and not is_released else None, None
    is_unfinished = is_of_p or (may_precede(slot, p, slots, header) and slot.content != p)
    return 1, 'unfinished' if is_unfinished else 'missing', None
  if not slot.is_intact:
    return 1, 'checksum_mismatch', None
  if slot.parts == 0:
    return 1, None, None
  if slot.part != 0:
    return 1, 'part', None
  parts = [slots[q % len(slots)] for q in range(p, p + slot.parts)]
  for i, part in enumerate(parts):
    if not part.is_intact or part.position != p + i or (part.part, part.parts) != (i, slot.parts):
      is_mismatch = part.is_committed and not part.is_intact
      while i < slot.parts and not is_of_other_claim(parts[i], p + i, i, slot.parts):
        i += 1
      return i, 'checksum_mismatch' if is_mismatch else 'missing', None
  record = decode_record(parts)
  if record is None:
    report_damage(f'position {p}: invalid record head')
  return slot.parts, None, record


def signal_of(text):
  begin = re.match(rb'\*\*\* (SIG(?:SEGV|ILL|FPE|ABRT|TERM|BUS|TRAP)|Signal (\d+)) received', text)
  if not begin:
    return 0
  number = int(begin[2]) if begin[2] else signal.Signals[begin[1].decode()].value
  return number if number <= 64 else 0


def read_crash_reports(data, header):
  """Returns the crash reports as lists: thread, time, text, whether it is complete, number of invalid cells before."""
  area = data[header.crash:header.crash + header.crash_bytes]
  reports = []
  invalid = 0
  for offset in range(64, len(area) - 63, 64):
    cell = area[offset:offset + 64]
    checksum, tid, time, kind, size = struct.unpack_from('<IiqBB', cell)
    if checksum == 0 or (crc32c(header.ring_id + cell[4:]) or 1) != checksum:
      invalid += 1
      continue
    report = next((r for r in reports if r[0] == tid and not r[3]), None)
    if kind == 2 and report:
      report[3] = True
    elif kind == 1:
      if not report:
        report = [tid, time, b'', False, invalid]
        reports.append(report)
      if invalid != report[4]:
        report[2] += b'[up to %d bytes are missing here]' % (44 * (invalid - report[4]))
        report[4] = invalid
      report[2] += cell[20:20 + min(size, 44)]
  return reports


def print_crash_reports(data, header, position):
  for tid, time, text, _, _ in read_crash_reports(data, header):
    print_json(position=position, slots=1, time_ns=time, tid=tid, line=signal_of(text), severity=3, file='signal',
               text=(text[:-1] if text.endswith(b'\n') else text).decode('latin-1'))
    position += 1


def read_ring(data):
  header = read_header(data)
  if len(data) != header.file_bytes:
    report_damage(f'the file has {len(data)} bytes, its header has {header.file_bytes}')
  live = Live(data, header)
  slots = []
  for index in range(header.slot_count):
    begin = header.slots + index * header.slot_bytes
    slots.append(Slot(data[begin:begin + header.slot_bytes], index, header))
  p, end, lowest_held = bounds(slots, live, header)
  end_position = end
  gaps = []
  while p < end:
    count, gap, record = visit(p, slots, live, lowest_held, header)
    if gap == 'part':
      # Belongs to the record whose beginning is in the gap directly before, if there is one.
      gap = gaps[-1][0] if gaps and gaps[-1][1] == p else None
    if record:
      print_json(**record)
    if gap and gaps and gaps[-1][:2] == [gap, p]:
      gaps[-1][1] = p + count
    elif gap:
      gaps.append([gap, p + count, p])
    p += count
  print_crash_reports(data, header, max(p, end_position))
  for gap, end, first in gaps:
    print_json(gap=gap, first=first, end=end)
    if gap != 'unfinished':
      report_damage(f'{gap}: positions {first} to {end - 1}')


# ---- Segments ----

ZSTD_MAGIC = 0xFD2FB528
METADATA_MAGIC = 0x184D2A57
SEEK_TABLE_MAGIC = 0x184D2A5E


def frame_end(data, begin):
  """Returns the end offset of the zstd frame at offset `begin`. Raises EOFError if the file ends first."""
  if begin + 5 > len(data):
    raise EOFError
  descriptor = data[begin + 4]
  single = descriptor >> 5 & 1
  if descriptor & 8 or not descriptor & 4:
    raise ValueError('a reserved bit is set, or the frame has no content checksum')
  content_size = (single, 2, 4, 8)[descriptor >> 6]
  offset = begin + 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content_size
  last = 0
  while not last:
    if offset + 3 > len(data):
      raise EOFError
    block = int.from_bytes(data[offset:offset + 3], 'little')
    last, kind, size = block & 1, block >> 1 & 3, block >> 3
    if kind == 3:
      raise ValueError('a block has the reserved type')
    offset += 3 + (1 if kind == 1 else size)
  if offset + 4 > len(data):
    raise EOFError
  return offset + 4


def decompress(frame):
  result = subprocess.run(['zstd', '-dcq'], input=frame, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
  if result.returncode:
    raise ValueError('a frame does not decompress, or has a wrong content checksum')
  return result.stdout


def parse_metadata(body):
  """Returns the fields of a metadata frame without its skippable frame header, or raises ValueError."""
  if len(body) < 148 or body[:8] != b'\x89RLOGMET':
    raise ValueError('wrong magic or too short')
  # The checksum covers the bytes from offset 0 of the table on. The example on the format page
  # shows that the header of the skippable frame is not included.
  if crc32c(body[:-4]) != struct.unpack_from('<I', body, len(body) - 4)[0]:
    raise ValueError('wrong checksum')
  major, _, gaps_begin, ring_id = struct.unpack_from('<HHI16s', body, 8)
  if major > 1:
    raise NotThisFormat('segment has a newer major version')
  number, compressed, text, first, end, _, _, *counts = struct.unpack_from('<QQQQQQQ5Q', body, 32)
  checksum, _, _, gap_bytes, listed = struct.unpack_from('<IBBHI', body, 128)
  if gaps_begin < 144 or gaps_begin + gap_bytes * listed + 4 != len(body) or listed > 256 or listed > counts[4]:
    raise ValueError('the listed gaps do not fill the frame')
  return dict(ring_id=ring_id, number=number, compressed=compressed, text=text, first=first, end=end,
              records=counts[:4], gaps=counts[4], checksum=checksum)


def read_segment(data):
  # A skippable frame cannot be the first one. If the first magic is damaged, a metadata frame still
  # identifies a segment.
  if data[:4] != struct.pack('<I', ZSTD_MAGIC) and not next_metadata(data, 0, None):
    raise NotThisFormat('not a segment: no zstd frame at offset 0 and no metadata frame')
  text = b''
  entries = offset = 0
  frames = []  # (compressed, decompressed size) of every frame, as in the seek table
  metadata = []
  before = None  # the frame whose metadata frame comes next: (begin, end, bytes of text)
  lost = table = False
  while offset < len(data):
    try:
      if offset + 8 > len(data):
        raise EOFError
      magic, size = struct.unpack_from('<II', data, offset)
      if magic == ZSTD_MAGIC and not table:
        if before:
          report_damage(f'offset {offset}: no metadata frame after the frame at {before[0]}')
          before = None
        end = frame_end(data, offset)
        content = decompress(data[offset:end])
        text += content
        frames.append((end - offset, len(content)))
        before = (offset, end, len(content))
        offset = end
        continue
      if magic not in (METADATA_MAGIC, SEEK_TABLE_MAGIC) or table:
        raise ValueError('unexpected frame')
      body = data[offset + 8:offset + 8 + size]
      if len(body) < size:
        raise EOFError
      if magic == SEEK_TABLE_MAGIC:
        entries = check_seek_table(body, frames)
        table = True
      else:
        fields = parse_metadata(body)
        if metadata and any(fields[key] != metadata[0][key] for key in ('ring_id', 'number')):
          report_damage(f'offset {offset}: metadata frame of another ring or segment')
        if before:
          check_metadata(offset, fields, data, before)
        else:
          # The seek table was written before the damage, so it lists the lost frame.
          frames.append((fields['compressed'], fields['text']))
          if not lost:
            report_damage(f'offset {offset}: metadata frame without a frame before it')
        metadata.append(fields)
        frames.append((8 + size, 0))
        before = None
        lost = False
      offset += 8 + size
    except (EOFError, ValueError) as error:
      # A damaged size also looks like the end of the file, so both cases search for a metadata
      # frame.
      report_damage(f'offset {offset}: {str(error) or "truncated frame"}')
      # Frame boundaries are unknown after the damage, so the next metadata frame must give them.
      # Its frame counts if all its bytes come after the damage.
      found = None if table else next_metadata(data, offset + 1, metadata[0] if metadata else None)
      if found is None:
        break
      begin = found[0] - found[1]['compressed']
      lost = begin <= offset
      before = None
      offset = found[0] if lost else begin
  if before:
    report_damage(f'no metadata frame after the frame at {before[0]}')
  print_json(bytes=len(text), crc32c=crc32c(text))
  for fields in metadata:
    print_json(**{key: fields[key] for key in ('number', 'first', 'end', 'records', 'gaps', 'compressed', 'text')})
  print_json(seek_table=table, entries=entries)


def check_metadata(offset, fields, data, before):
  begin, end, text = before
  if fields['compressed'] != end - begin:
    report_damage(f'offset {offset}: the frame before it has {end - begin} bytes, not {fields["compressed"]}')
  if fields['text'] != text:
    report_damage(f'offset {offset}: the frame before it has {text} bytes of text, not {fields["text"]}')
  if fields['checksum'] != struct.unpack_from('<I', data, end - 4)[0]:
    report_damage(f'offset {offset}: wrong checksum of the frame before it')


def next_metadata(data, begin, like):
  """Returns the offset and the fields of the next metadata frame of the same segment as `like`, or None."""
  at = data.find(struct.pack('<I', METADATA_MAGIC), begin)
  while at >= 0:
    size = int.from_bytes(data[at + 4:at + 8], 'little')
    try:
      fields = parse_metadata(data[at + 8:at + 8 + size])
      if like is None or (fields['ring_id'], fields['number']) == (like['ring_id'], like['number']):
        return at, fields
    except ValueError:
      pass  # bytes of a message that look like a metadata frame, or a damaged metadata frame
    at = data.find(struct.pack('<I', METADATA_MAGIC), at + 1)
  return None


def check_seek_table(body, frames):
  """Returns the number of entries. Raises ValueError if the table is malformed."""
  if len(body) < 9 or len(body) % 8 != 1:
    raise ValueError('seek table has an invalid size')
  count, flags, magic = struct.unpack_from('<IBI', body, len(body) - 9)
  if magic != 0x8F92EAB1 or flags != 0 or count * 8 + 9 != len(body):
    raise ValueError('seek table has an invalid end')
  if [struct.unpack_from('<II', body, 8 * i) for i in range(count)] != frames:
    report_damage('the seek table does not match the frames')
  return count


def read(kind, path):
  """Prints the content of one file. Returns its exit status."""
  damage.clear()
  try:
    with open(path, 'rb') as file:
      data = file.read()
    if kind == 'ring':
      read_ring(data)
    else:
      read_segment(data)
  except (NotThisFormat, OSError) as error:
    report_damage(str(error))
    return 2
  return 1 if damage else 0


def main(arguments):
  if len(arguments) < 3 or arguments[1] not in ('ring', 'segment'):
    print(__doc__, file=sys.stderr)
    return 2
  worst = 0
  for path in arguments[2:]:
    status = read(arguments[1], path)
    print_json(file=path, status=status)
    worst = max(worst, status)
  return worst


if __name__ == '__main__':
  sys.exit(main(sys.argv))
