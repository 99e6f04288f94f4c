package setup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/postseal/postseal/config/folder"
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
	// Out: the milter was taken out, and is not put back where others have changed a
	// file since.
	Out bool `json:"out,omitempty"`
	// Reasons are the edits' own, for people.
	Reasons []string `json:"reasons,omitempty"`
}

func (w *Wiring) Line() string {
	line := "milter in"
	if w.Out {
		line = "milter out of"
	}
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
func (w *Wiring) Kind() string    { return "wiring" }

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
func (w *Wiring) revert(ctx context.Context, _ System) (Left, error) {
	var back []File
	for _, f := range w.Files {
		if err := folder.Remove(f.Path + unfinished); err != nil {
			return Left{}, err
		}
		now, err := os.ReadFile(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Left{}, err
		case bytes.Equal(now, f.After):
			back = append(back, f)
		case !bytes.Equal(now, f.Before):
			if w.Out {
				return Left{f.Path, changed}, nil
			}
			return Left{f.Path, changed + "; only our milter was taken out"}, w.unwire(ctx)
		}
	}
	for _, f := range back {
		if err := replace(f.Path, f.Before); err != nil {
			return Left{}, err
		}
	}
	return Left{}, nil
}

// unwire takes our milter out of the files as they are now.
func (w *Wiring) unwire(ctx context.Context) error {
	c, err := postfix.Read(ctx, w.Dir)
	if err != nil {
		return err
	}
	out, err := Unwire(ctx, c, w.Dir, w.Sockets)
	if err != nil || out == nil {
		return err
	}
	return out.do(ctx, System{}, func(Change) error { return nil })
}

// Wire is what puts socket into the lists of milters of the Postfix that is configured
// in dir; others are further sockets of ours. nil: nothing is to be done.
func Wire(ctx context.Context, c *postfix.Config, dir string, socket postfix.Socket, others ...postfix.Socket) (*Wiring, error) {
	edits, err := c.Wire(socket, others...)
	if err != nil {
		return nil, err
	}
	return preview(ctx, c, edits, &Wiring{Dir: dir, Sockets: append([]postfix.Socket{socket}, others...)})
}

// Unwire is what takes our milter out again.
func Unwire(ctx context.Context, c *postfix.Config, dir string, sockets []postfix.Socket) (*Wiring, error) {
	edits, err := c.Unwire(sockets...)
	if err != nil {
		return nil, err
	}
	return preview(ctx, c, edits, &Wiring{Dir: dir, Sockets: sockets, Out: true})
}

// preview fills in what becomes of the files.
func preview(ctx context.Context, c *postfix.Config, edits []postfix.Edit, w *Wiring) (*Wiring, error) {
	if len(edits) == 0 {
		return nil, nil
	}
	files, err := c.Preview(ctx, edits)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		w.Files = append(w.Files, File{Path: f.Path, Before: f.Before, After: f.After})
	}
	for _, e := range edits {
		w.Reasons = append(w.Reasons, e.Reason)
	}
	return w, nil
}
