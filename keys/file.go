package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxKeyFile bounds what is read of a key file: RSA of 16384 bits needs 13 KB.
const maxKeyFile = 64 << 10

// fileRef is a key file under one policy: another policy judges it anew.
type fileRef struct {
	path   string
	policy policy
	// held says that a key which was read once stays in use when the file is out
	// of reach, as after root or the view of the whole file system was given up.
	held bool
}

// fileID changes whenever a file does.
type fileID struct {
	dev, ino     uint64
	size         int64
	mtime, ctime time.Time
}

func idOf(st *unix.Stat_t) fileID {
	return fileID{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size,
		mtime: time.Unix(st.Mtim.Unix()), ctime: time.Unix(st.Ctim.Unix()),
	}
}

// settling is how long after a change a file may change again without its
// times showing it, with a wide margin for coarse clocks.
const settling = 2 * time.Second

// content is what one reading of a key file found.
type content struct {
	data []byte
	id   fileID
	// unsafe is what CheckSafe says, where the policy allows it.
	unsafe error
}

// fileState is what the cache knows of a key file.
type fileState struct {
	mu     sync.Mutex
	id     fileID // of the file that good was read from
	good   usable // without a key until there was one
	name   string // the selector of the row that good was read for
	stale  error  // why the file's present content is not used
	told   string // the last thing logged about a bad file
	warned string // the last thing logged about safety
}

// fromFile returns the key of a file, which it reads only if it changed.
func (c *Cache) fromFile(ref fileRef, domain, selector string, loading bool) (key usable, stale, err error) {
	c.mu.Lock()
	st, ok := c.files.find(ref)
	if !ok {
		// The path is a piece of the table's text, which is not to stay for it.
		ref.path = strings.Clone(ref.path)
		st = c.files.get(ref, func() *fileState { return &fileState{} })
	}
	c.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	var now unix.Stat_t
	if st.good.Signer != nil && st.stale == nil && unix.Stat(ref.path, &now) == nil && idOf(&now) == st.id {
		return st.good, nil, nil
	}
	key, id, err := c.readProven(ref, st, domain, selector)
	if err == nil {
		// A time to come is that of a clock which was put back since: it will be
		// another one if the file changes.
		if c.now().Sub(id.ctime).Abs() < settling {
			id = fileID{} // look again next time
		}
		st.id, st.good, st.name, st.stale, st.told = id, key, selector, nil, ""
		return key, nil, nil
	}
	if ref.held && st.good.Signer != nil && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)) {
		return st.good, nil, nil
	}
	told := fmt.Sprint(id, err)
	news := told != st.told
	st.told = told
	// The key of another selector would make signatures that nobody can verify.
	if st.good.Signer == nil || st.name != selector {
		// What is found at load is listed by Store.Disabled.
		if news && !loading {
			c.log.Error("the key file has no usable key; mail that needs it is not let through (on_internal_error)", "path", ref.path, "err", err)
		}
		return usable{}, nil, err
	}
	st.stale = err
	if news {
		c.log.Error("the key file has no usable key any more; the key from before stays in use until it has", "path", ref.path, "err", err)
	}
	return st.good, err, nil
}

func (c *Cache) readProven(ref fileRef, st *fileState, domain, selector string) (usable, fileID, error) {
	found, err := c.read(ref.path, ref.policy)
	if err != nil {
		return usable{}, fileID{}, err
	}
	if found.unsafe != nil && found.unsafe.Error() != st.warned {
		st.warned = found.unsafe.Error()
		c.log.Warn("key data is not secure; require_safe_keys is off, so it is used", "path", ref.path, "err", found.unsafe)
	}
	key, err := c.fromBytes(found.data, ref.policy, domain, selector)
	return key, found.id, err
}

// attempts is how often a file that changes while it is read is read again.
const attempts = 3

var errMoving = errors.New("the file changes while it is read; try again when it is at rest")

// readKeyFile reads a key file through one descriptor, and checks its safety.
func readKeyFile(path string, p policy) (*content, error) {
	w := systemWalk(p.uid)
	w.last = p.accounts
	return w.readFile(path, p)
}

func (w walk) readFile(path string, p policy) (*content, error) {
	for range attempts {
		found, err := w.readOnce(path, p)
		if !errors.Is(err, errMoving) {
			return found, err
		}
	}
	return nil, errMoving
}

func (w walk) readOnce(path string, p policy) (*content, error) {
	// Without O_NONBLOCK the open of a FIFO waits for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var before, after unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &before); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	if before.Size > maxKeyFile {
		return nil, fmt.Errorf("%d bytes are too many for a private key; at most %d are read", before.Size, maxKeyFile)
	}
	found := &content{id: idOf(&before)}
	dev, ino, err := w.check(path)
	var unsafe *UnsafeError
	switch {
	case errors.As(err, &unsafe) && !p.safe:
		found.unsafe = err
	case err != nil:
		return nil, err
	case dev != found.id.dev || ino != found.id.ino:
		// What was checked must be what was opened.
		return nil, errMoving
	}
	found.data = make([]byte, before.Size+1)
	n, err := io.ReadFull(f, found.data)
	found.data = found.data[:n]
	if err == nil {
		err = errMoving // it grew
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = unix.Fstat(int(f.Fd()), &after)
	}
	if err == nil && idOf(&after) != found.id {
		err = errMoving
	}
	if err != nil {
		clear(found.data)
		return nil, err
	}
	return found, nil
}
