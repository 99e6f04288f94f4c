package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/postseal/postseal/config/postfix"
)

// Wiring is what becomes of Postfix's main.cf and master.cf: postconf's edits, known
// before they are done.
type Wiring struct {
	// Dir is Postfix's folder of configuration, "" for the usual one.
	Dir string `json:"dir,omitempty"`
	// Sockets are ours that it asks.
	Sockets []postfix.Socket `json:"sockets"`
	// Files are those that change.
	Files []File `json:"files"`
	// Edits are the commands that make the same change.
	Edits []string `json:"edits,omitempty"`
}

func (w *Wiring) Line() string {
	line := "milter in"
	for i, f := range w.Files {
		if i > 0 {
			line += " and"
		}
		line += " " + f.Path
	}
	return line
}

func (w *Wiring) Diff() string {
	d := ""
	for _, f := range w.Files {
		d += f.Diff()
	}
	return d
}

func (w *Wiring) NeedsRoot() bool { return false } // whoever owns the files
func (w *Wiring) kind() string    { return "wiring" }

func (w *Wiring) do(_ context.Context, _ System, log func(Change) error) error {
	logged := false
	for _, f := range w.Files {
		err := exchange(f.Path, f.Before, f.After, func() error {
			if logged {
				return nil
			}
			logged = true
			return log(w)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// revert gives the files their old text. Where others have changed one, postconf takes
// our milter out of both.
func (w *Wiring) revert(ctx context.Context, s System) (Left, error) {
	var back []File
	for _, f := range w.Files {
		if err := remove(f.Path + unfinished); err != nil {
			return "", err
		}
		now, err := os.ReadFile(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case string(now) == f.After:
			back = append(back, f)
		case string(now) != f.Before:
			return Left(fmt.Sprintf("%s was changed since: only our milter was taken out", f.Path)), s.Unwire(ctx, w)
		}
	}
	for _, f := range back {
		if err := replace(f.Path, f.Before); err != nil {
			return "", err
		}
	}
	return "", nil
}
