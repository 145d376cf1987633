/*
 * Model of the slot protocol for the model checker spin. It has the steps that
 * slot.h, and Append(), Take(), Skip() and Release() of ring.cc, perform on the
 * words of a ring, in every order that is possible for writers and the flusher.
 *
 * Checked claims:
 *  1. Whenever the process dies, each record whose Append() has returned is
 *     either in the segments or recovered from the ring, and not both. A record
 *     whose Append() has not returned is there at most once. Recovery only
 *     reads, so the process Death examines every reachable state.
 *  2. The records of a writer are taken in the order of their Append() calls.
 *  3. No process waits forever: the only final state is the completed one.
 *  4. At the end, all acknowledged records are in the segments.
 *
 * Not modeled:
 *  - the order in which another processor sees stores, because spin's processes
 *    share one memory; TSan and the orders named in slot.h cover it;
 *  - damaged files;
 *  - the two copies of the persist cursor, which changes in one step here.
 *
 *     spin -a slot.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *
 * With SEEDED_BUG, ClaimSlot() stores its word without comparing the previous
 * one.
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef RECORDS
#define RECORDS 2 /* of each writer */
#endif
#ifndef SKIPS
#define SKIPS 2 /* maximum number of positions that the flusher skips */
#endif
#define SLOTS 4
#define FIRST SLOTS
#define END (FIRST + 3 * SLOTS) /* the positions make three laps */
#define IDS (WRITERS * RECORDS)
#define NO_ID 255

/* A word: position * 8 + state. */
#define FREE 0
#define FILLING 1
#define FILLED 2
#define PERSISTING 3
#define SKIPPED 4
#define PACK(p, s) ((p) * 8 + (s))
#define POSITION(w) ((w) / 8)
#define STATE(w) ((w) % 8)
#define BEFORE(p) ((p) < FIRST + SLOTS -> 0 : PACK((p) - SLOTS, FREE))

byte word[SLOTS];
byte tail = FIRST;
byte released = FIRST;

/* Content of a slot, if its checksum matches: record, position and part. */
byte id[SLOTS] = NO_ID;
byte position[SLOTS];
byte part[SLOTS];
byte count[SLOTS]; /* 0: an abandoned claim */

/* The persist cursor, and the records in segments up to it. */
byte cursor_end = FIRST;
byte in_segments[IDS];
bool is_acknowledged[IDS];
byte writers_left = WRITERS;

#define SLOT(p) ((p) % SLOTS)
#define IS_COMMITTED(p) \
  (POSITION(word[SLOT(p)]) == (p) && \
   (STATE(word[SLOT(p)]) == FILLED || STATE(word[SLOT(p)]) == PERSISTING))
#define IS_PART(p, i, k) \
  (IS_COMMITTED(p) && position[SLOT(p)] == (p) && id[SLOT(p)] == (i) && \
   part[SLOT(p)] == (k))

/* ---- Writers ---- */

inline fill(at, record, part_index, part_count) {
  id[SLOT(at)] = NO_ID; /* partly written: the checksum does not match */
  d_step {
    id[SLOT(at)] = record;
    position[SLOT(at)] = at;
    part[SLOT(at)] = part_index;
    count[SLOT(at)] = part_count;
  }
}

inline claim_slot(at) {
  seen = word[SLOT(at)];
  do
  :: seen == BEFORE(at) ->
#ifdef SEEDED_BUG
    word[SLOT(at)] = PACK(at, FILLING);
    ok = true;
    break;
#else
    d_step {
      if
      :: word[SLOT(at)] == seen -> word[SLOT(at)] = PACK(at, FILLING); ok = true;
      :: else -> seen = word[SLOT(at)]; ok = false;
      fi;
    }
    if
    :: ok -> break;
    :: else
    fi;
#endif
  :: else ->
    if
    :: seen == PACK(at - SLOTS, SKIPPED) ->
      d_step {
        if
        :: word[SLOT(at)] == seen -> word[SLOT(at)] = PACK(at, SKIPPED); ok = true;
        :: else -> seen = word[SLOT(at)]; ok = false;
        fi;
      }
      if
      :: ok -> ok = false; break;
      :: else
      fi;
    :: else -> ok = false; break;
    fi;
  od;
}

inline commit_slot(at) {
  d_step {
    seen = word[SLOT(at)];
    if
    :: seen == PACK(at, FILLING) -> word[SLOT(at)] = PACK(at, FILLED); ok = true;
    :: else -> ok = false;
    fi;
  }
  if
  :: ok
  :: else ->
    id[SLOT(at)] = NO_ID;
    do
    :: STATE(seen) == SKIPPED ->
      d_step {
        if
        :: word[SLOT(at)] == seen ->
          word[SLOT(at)] = PACK(POSITION(seen), FREE);
          seen = 0;
        :: else -> seen = word[SLOT(at)];
        fi;
      }
    :: else -> break;
    od;
  fi;
}

proctype Writer(byte self) {
  byte n, p, k, begin, slots, seen, have;
  bool ok;
  for (n : 0 .. RECORDS - 1) {
    if
    :: slots = 1
    :: slots = 2
    fi;
again:
    have = tail; /* AdvanceTail() */
    do
    :: have + slots > END -> goto dropped; /* the end of the model */
    :: else ->
      if
      :: have + slots - released > SLOTS ->
        have = tail;
        /* kBlock: wait for room. */
        have + slots - released <= SLOTS || tail != have;
        have = tail;
      :: else ->
        d_step {
          if
          :: tail == have -> tail = have + slots; ok = true;
          :: else -> have = tail; ok = false;
          fi;
        }
        if
        :: ok -> break;
        :: else
        fi;
      fi;
    od;
    begin = have;
    /* TryClaim() */
    p = begin;
    ok = true;
    do
    :: p < begin + slots && ok ->
      claim_slot(p);
      if
      :: ok -> p++;
      :: else
      fi;
    :: else -> break;
    od;
    if
    :: !ok ->
      k = begin;
      do
      :: k < begin + slots ->
        if
        :: k > p -> claim_slot(k);
        :: else -> ok = (k < p);
        fi;
        if
        :: ok -> fill(k, NO_ID, 0, 0); commit_slot(k);
        :: else
        fi;
        k++;
      :: else -> break;
      od;
      goto again;
    :: else
    fi;
    /* Commit(): part 0 last */
    k = slots;
    do
    :: k > 0 ->
      k--;
      fill(begin + k, self * RECORDS + n, k, slots);
      commit_slot(begin + k);
    :: else -> break;
    od;
    if
    :: ok -> is_acknowledged[self * RECORDS + n] = true;
    :: else -> goto again;
    fi;
dropped:
    skip;
  }
  writers_left--;
}

/* ---- The flusher ---- */

#define NOT_CLAIMED 0
#define PENDING 1
#define IS_FILLED 2
#define NOTHING 3 /* or already taken */

inline peek(at) {
  if
  :: at >= tail -> result = NOT_CLAIMED;
  :: else ->
    seen = word[SLOT(at)];
    result = NOT_CLAIMED;
    do
    :: result != NOT_CLAIMED -> break;
    :: else ->
      if
      :: POSITION(seen) == at ->
        if
        :: STATE(seen) == FILLING -> result = PENDING;
        :: STATE(seen) == FILLED -> result = IS_FILLED;
        :: else -> result = NOTHING;
        fi;
      :: else ->
        if
        :: STATE(seen) != SKIPPED || POSITION(seen) > at -> result = PENDING;
        :: else ->
          d_step {
            if
            :: word[SLOT(at)] == seen ->
              word[SLOT(at)] = PACK(at, SKIPPED);
              result = NOTHING;
            :: else -> seen = word[SLOT(at)];
            fi;
          }
        fi;
      fi;
    od;
  fi;
}

/* TakeFilled() */
inline take_filled() {
  slots = (count[SLOT(take)] == 0 -> 1 : count[SLOT(take)]);
  if
  :: count[SLOT(take)] == 0 || part[SLOT(take)] != 0
  :: else ->
    assert(IS_PART(take, id[SLOT(take)], 0));
    assert(slots == 1 || IS_PART(take + 1, id[SLOT(take)], 1));
    batch[id[SLOT(take)]]++;
    /* Claim 2. */
    assert(!taken[id[SLOT(take)]]);
    taken[id[SLOT(take)]] = true;
    assert(id[SLOT(take)] % RECORDS == RECORDS - 1 ||
           !taken[id[SLOT(take)] + 1]);
  fi;
  if
  :: part[SLOT(take)] != 0 -> slots = 1;
  :: else
  fi;
  do
  :: slots > 0 ->
    word[SLOT(take)] = PACK(take, PERSISTING);
    take++;
    slots--;
  :: else -> break;
  od;
}

/* Skip(take + 1) */
inline try_skip() {
  seen = word[SLOT(take)];
  if
  :: seen == BEFORE(take) -> next = PACK(take, FREE);
  :: seen == PACK(take, FILLING) -> next = PACK(take, SKIPPED);
  :: else -> next = 0;
  fi;
  if
  :: next != 0 ->
    d_step {
      if
      :: word[SLOT(take)] == seen -> word[SLOT(take)] = next; take++; skips++;
      :: else
      fi;
    }
  :: else
  fi;
}

inline persist() {
  /* The batch is in the segment, and the cursor covers it. */
  d_step {
    for (i : 0 .. IDS - 1) {
      in_segments[i] = in_segments[i] + batch[i];
      batch[i] = 0;
    }
    cursor_end = take;
  }
  do
  :: release < take ->
    /* FreeSlot() */
    seen = word[SLOT(release)];
    if
    :: seen == PACK(release, FILLED) || seen == PACK(release, PERSISTING) ->
      d_step {
        if
        :: word[SLOT(release)] == seen ->
          word[SLOT(release)] = PACK(release, FREE);
        :: else
        fi;
      }
    :: else
    fi;
    release++;
  :: else -> break;
  od;
  released = release;
}

active proctype Flusher() {
  byte take = FIRST, release = FIRST, seen, next, slots, result, skips, i;
  byte batch[IDS];
  bool taken[IDS];
  do
  :: peek(take);
    if
    :: result == IS_FILLED -> take_filled();
    :: result == NOTHING -> take++;
    :: result == PENDING && skips < SKIPS -> try_skip();
    :: result == PENDING || result == NOT_CLAIMED ->
      /* Wait for a change. */
      if
      :: release < take
      :: take < tail && word[SLOT(take)] != seen
      :: result == NOT_CLAIMED && take < tail
      :: writers_left == 0 && take == tail && release == take -> break;
      fi;
    fi;
  :: release < take -> persist();
  od;
  /* Claim 4. */
  for (i : 0 .. IDS - 1) {
    assert(in_segments[i] == is_acknowledged[i]);
  }
}

/* ---- Death at any moment, and recovery ---- */

active proctype Death() {
  byte i, p, found;
  d_step {
    for (i : 0 .. IDS - 1) {
      found = in_segments[i];
      for (p : FIRST .. END - 1) {
        if
        :: p >= cursor_end && p < tail && IS_PART(p, i, 0) &&
           (count[SLOT(p)] == 1 || IS_PART(p + 1, i, 1)) ->
          found++;
        :: else
        fi;
      }
      /* Claim 1. */
      assert(found <= 1 && (found == 1 || !is_acknowledged[i]));
    }
  }
}

init {
  byte w;
  atomic {
    for (w : 0 .. WRITERS - 1) {
      run Writer(w);
    }
  }
}
