/*
 * The protocol of slots, for spin: what slot.h, and Append(), Take(), Skip()
 * and Release() of ring.cc do to the words of a ring, one step each, in every
 * order that writers and the flusher can do it.
 *
 * Claims checked:
 *  1. Whenever the process dies, each record whose Append() has returned is in
 *     the segments or is what recovery finds in the ring, and not both; one
 *     whose Append() is running is there once at the most. Recovery only reads,
 *     so the process Death looks at every state that can be reached.
 *  2. A writer's records are taken in the order in which they were appended.
 *  3. Nobody waits for ever: no state is left but the one in which all is done.
 *  4. At the end everything that was acknowledged is in the segments.
 *
 * Not in here: the order in which another processor sees stores (spin's
 * processes share one memory; TSan and the orders named in slot.h are for
 * that), what a damaged file holds, and the two copies of the persist cursor,
 * which changes in one step here.
 *
 *     spin -a slot.pml && cc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *
 * SEEDED_BUG has the claim store its word without a look at the one before.
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef RECORDS
#define RECORDS 2 /* of each writer */
#endif
#ifndef SKIPS
#define SKIPS 2 /* how often the flusher goes past a writer, at the most */
#endif
#define SLOTS 4
#define FIRST SLOTS
#define END (FIRST + 3 * SLOTS) /* positions: the slots are used three times */
#define IDS (WRITERS * RECORDS)
#define NOBODY 255

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

/* What is in a slot, if its checksum fits: whose part of which record. */
byte id[SLOTS] = NOBODY;
byte position[SLOTS];
byte part[SLOTS];
byte count[SLOTS]; /* 0: a claim that was given up */

/* The flusher's, and what is in the file up to the persist cursor. */
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

inline fill(at, whose, which, parts) {
  id[SLOT(at)] = NOBODY; /* half written: no checksum fits */
  d_step {
    id[SLOT(at)] = whose;
    position[SLOT(at)] = at;
    part[SLOT(at)] = which;
    count[SLOT(at)] = parts;
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
    id[SLOT(at)] = NOBODY;
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
    :: have + slots > END -> goto dropped; /* the model's end */
    :: else ->
      if
      :: have + slots - released > SLOTS ->
        have = tail;
        /* kBlock: until there is room. */
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
        :: ok -> fill(k, NOBODY, 0, 0); commit_slot(k);
        :: else
        fi;
        k++;
      :: else -> break;
      od;
      goto again;
    :: else
    fi;
    /* Commit(): what begins the record last */
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
#define NOTHING 3 /* or taken before */

inline look(at) {
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
inline pass() {
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
  /* The batch is in the file; the cursor says so. */
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
  :: look(take);
    if
    :: result == IS_FILLED -> take_filled();
    :: result == NOTHING -> take++;
    :: result == PENDING && skips < SKIPS -> pass();
    :: result == PENDING || result == NOT_CLAIMED ->
      /* Until something moves. */
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

/* ---- Death, at any moment, and what recovery finds ---- */

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
