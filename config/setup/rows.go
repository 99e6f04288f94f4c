package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/postseal/postseal/config/table"
)

// Rows are rows to be added at the end of a table. The table is there by then.
type Rows struct {
	Path string   `json:"path"`
	Rows []string `json:"rows"`
	// Size and Sum (SHA-256) are of the table as it was; do fills them in.
	Size int64  `json:"size"`
	Sum  string `json:"sum"`

	// Before is the table's text for Diff.
	Before []byte `json:"-"`
}

func (r *Rows) Line() string {
	if len(r.Rows) == 1 {
		return "a row in " + r.Path
	}
	return fmt.Sprintf("%d rows in %s", len(r.Rows), r.Path)
}

func (r *Rows) Diff() string {
	return unified(r.Path, r.Before, r.Path, slices.Concat(r.Before, []byte(table.Addition(string(r.Before), r.Rows))))
}
func (r *Rows) NeedsRoot() bool { return false }
func (r *Rows) Kind() string    { return "rows" }

func (r *Rows) do(_ context.Context, _ System, log func(Change) error) error {
	f, err := table.Lock(r.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	r.Size, r.Sum = int64(len(before)), sum(before)
	if err := log(r); err != nil {
		return err
	}
	return table.Append(f, r.Size, table.Addition(string(before), r.Rows))
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// revert cuts the rows off. Where others have changed the table, the rows that are
// still there are taken out.
func (r *Rows) revert(context.Context, System) (Left, error) {
	f, err := table.Lock(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Left{}, nil
	}
	if err != nil {
		return Left{}, err
	}
	defer f.Close()
	now, err := io.ReadAll(f)
	if err != nil {
		return Left{}, err
	}
	if size := int(r.Size); size >= 0 && len(now) >= size && sum(now[:size]) == r.Sum && strings.HasPrefix(table.Addition(string(now[:size]), r.Rows), string(now[size:])) {
		return Left{}, errors.Join(f.Truncate(r.Size), f.Sync())
	}
	rest, n := without(now, r.Rows)
	if n == 0 {
		return Left{}, nil
	}
	return Left{r.Path, changed + "; only what setup added was taken out"}, replace(r.Path, rest)
}

// rows plans rows, if there are any.
func (p *Plan) rows(r *Rows) {
	if len(r.Rows) == 0 {
		return
	}
	r.Before, _ = os.ReadFile(r.Path) // one that is to be made is not there yet
	for _, c := range p.Changes {
		switch c := c.(type) {
		case *File:
			if c.Path == r.Path {
				r.Before = c.After
			}
		case *Rows:
			if c.Path == r.Path {
				r.Before = append(slices.Clone(r.Before), table.Addition(string(r.Before), c.Rows)...)
			}
		}
	}
	p.Add(r)
}
