package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Account is a system user to be made, who cannot log in, with a group of the same
// name.
type Account struct {
	Name string `json:"name"`
	// NewGroup: the group is not there either.
	NewGroup bool `json:"new_group,omitempty"`
	// Folders are those that are theirs, or that need them: while one of them is there, an
	// undo keeps the account, or who gets its number next would own what is in them.
	Folders []string `json:"folders,omitempty"`
}

func (a *Account) Line() string    { return fmt.Sprintf("system user %s", a.Name) }
func (a *Account) Diff() string    { return "" }
func (a *Account) NeedsRoot() bool { return true }
func (a *Account) Kind() string    { return "account" }

func (a *Account) do(ctx context.Context, s System, log func(Change) error) error {
	if err := log(a); err != nil {
		return err
	}
	if a.NewGroup {
		if _, err := s.Run(ctx, "groupadd", "--system", a.Name); err != nil {
			return err
		}
	}
	_, err := s.Run(ctx, "useradd", "--system", "--gid", a.Name, "--comment", "DKIM milter",
		"--home-dir", "/", "--no-create-home", "--shell", "/usr/sbin/nologin", a.Name)
	return err
}

func (a *Account) revert(ctx context.Context, s System) (Left, error) {
	for _, dir := range a.Folders {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return Left{"the user " + a.Name, dir + " needs them"}, nil
		}
	}
	if s.known(ctx, "passwd", a.Name) {
		if _, err := s.Run(ctx, "userdel", a.Name); err != nil {
			return Left{}, err
		}
	}
	// Where a group has its last user's name, userdel takes it along.
	if a.NewGroup && s.known(ctx, "group", a.Name) {
		if _, err := s.Run(ctx, "groupdel", a.Name); err != nil {
			return Left{}, err
		}
	}
	return Left{}, nil
}

// known reports whether the system has an account of that name: "passwd" or "group".
func (s System) known(ctx context.Context, database, name string) bool {
	_, err := s.Run(ctx, "getent", database, name)
	return err == nil
}

// Member is a user to be let into a group.
type Member struct {
	User  string `json:"user"`
	Group string `json:"group"`
}

func (m *Member) Line() string    { return fmt.Sprintf("user %s in group %s", m.User, m.Group) }
func (m *Member) Diff() string    { return "" }
func (m *Member) NeedsRoot() bool { return true }
func (m *Member) Kind() string    { return "member" }

func (m *Member) do(ctx context.Context, s System, log func(Change) error) error {
	if err := log(m); err != nil {
		return err
	}
	_, err := s.Run(ctx, "usermod", "--append", "--groups", m.Group, m.User)
	return err
}

func (m *Member) revert(ctx context.Context, s System) (Left, error) {
	if in, err := s.inGroup(ctx, m.User, m.Group); err != nil || !in {
		return Left{}, err
	}
	_, err := s.Run(ctx, "gpasswd", "--delete", m.User, m.Group)
	return Left{}, err
}

// inGroup reports whether a user is in a group; one that there is not is in none.
func (s System) inGroup(ctx context.Context, user, group string) (bool, error) {
	if !s.known(ctx, "passwd", user) {
		return false, nil
	}
	out, err := s.Run(ctx, "id", "-nG", user)
	return slices.Contains(strings.Fields(out), group), err
}
