/* The cluster expansion of one atom after another: everything that belongs to an atom stays in the cache.
 *
 * Compiled for one shape of expansion (see kernels.py): REAL, LANES, CHANNELS, PRODUCTS, N_RADIAL, L_MAX, L_PRODUCT.
 * A lane is a member of a committee or a column of a matrix; lanes, channels and products fill the vector unit.
 * Conventions and formulae: expansion.py, which computes the same with tensors.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define N_HARMONICS ((L_MAX + 1) * (L_MAX + 1))
#define N_PRODUCT ((L_PRODUCT + 1) * (L_PRODUCT + 1))
#define PAIRS(n) ((n) * ((n) + 1) / 2)
#define EDGES 16

typedef REAL Lanes __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL Channels __attribute__((vector_size(CHANNELS * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef REAL Products __attribute__((vector_size(PRODUCTS * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

/* What does not change from atom to atom. */
typedef struct {
    const REAL *radii;       /* (elements, elements) Å */
    const REAL *mixing;      /* (elements, elements, N_RADIAL, CHANNELS) */
    const REAL *norms;       /* (L_MAX + 1, L_MAX + 1) */
    const int64_t *left;     /* (PRODUCTS) channel of the first factor */
    const int64_t *right;    /* (PRODUCTS) of the second */
    const int64_t *gaunt_at; /* (n_gaunt, 3) harmonics i ≤ j and k */
    const REAL *gaunt;       /* (n_gaunt) integral of three harmonics, halved where i = j */
    int64_t n_gaunt, n_elements;
    REAL cutoff;
} Shape;

/* A few neighbours of an atom at once, the edge last so that loops over it fill the vector unit. */
typedef struct {
    int n;
    int64_t edge[EDGES];
    REAL x[EDGES], y[EDGES], z[EDGES], r[EDGES];
    REAL value[N_RADIAL][EDGES], slope[N_RADIAL][EDGES];
    REAL angular[N_HARMONICS][EDGES], gradient[N_HARMONICS][3][EDGES];
} Neighbours;

typedef struct {
    Channels density[N_HARMONICS];
    Products a[N_PRODUCT], b[N_PRODUCT], product[N_PRODUCT];
} Atom;

/* Primitive radial functions and harmonics of the next neighbours inside the cutoff; returns where to go on. */
static int64_t gather(const Shape *shape, const REAL *vectors, const int64_t *kinds, int64_t centre, int64_t edge,
                      int64_t end, Neighbours *near, int with_slopes)
{
    const REAL cutoff = shape->cutoff;
    REAL radius[EDGES];
    near->n = 0;
    for (; edge < end && near->n < EDGES; edge++) {
        const REAL x = vectors[3 * edge], y = vectors[3 * edge + 1], z = vectors[3 * edge + 2];
        const REAL r2 = x * x + y * y + z * z;
        if (r2 >= cutoff * cutoff) continue;
        const int e = near->n++;
        near->edge[e] = edge;
        near->x[e] = x, near->y[e] = y, near->z[e] = z, near->r[e] = r2;
        radius[e] = shape->radii[centre * shape->n_elements + kinds[edge]];
    }
    for (int e = near->n; e < EDGES; e++) near->x[e] = near->y[e] = 0, near->z[e] = near->r[e] = radius[e] = 1;

    REAL t[EDGES], dt[EDGES], fade[EDGES], dfade[EDGES], before[EDGES], now[EDGES], dbefore[EDGES], dnow[EDGES];
    for (int e = 0; e < EDGES; e++) {
        const REAL r = sizeof(REAL) == 4 ? sqrtf(near->r[e]) : sqrt(near->r[e]);
        const REAL ratio = r / radius[e], square = ratio * ratio, x = 1 / (1 + square * square);
        const REAL limit = cutoff * cutoff / (radius[e] * radius[e]), low = 1 / (1 + limit * limit);
        const REAL scale = 2 / (1 - low);
        const REAL inside = 1 - (r / cutoff) * (r / cutoff);
        t[e] = scale * (x - low) - 1;
        dt[e] = -4 * scale * x * x * square * ratio / radius[e];
        fade[e] = inside * inside * inside;
        dfade[e] = -6 * r / (cutoff * cutoff) * inside * inside;
        before[e] = 1, now[e] = t[e], dbefore[e] = 0, dnow[e] = 1;
        near->r[e] = r, near->x[e] /= r, near->y[e] /= r, near->z[e] /= r;
    }
    for (int n = 0; n < N_RADIAL; n++)
        for (int e = 0; e < EDGES; e++) {
            near->value[n][e] = before[e] * fade[e];
            near->slope[n][e] = dbefore[e] * dt[e] * fade[e] + before[e] * dfade[e];
            const REAL next = 2 * t[e] * now[e] - before[e];
            const REAL dnext = 2 * now[e] + 2 * t[e] * dnow[e] - dbefore[e];
            before[e] = now[e], now[e] = next, dbefore[e] = dnow[e], dnow[e] = dnext;
        }

    /* Associated Legendre functions over sinᵐ, then real solid harmonics and their gradients. */
    REAL q[L_MAX + 2][L_MAX + 2][EDGES];
    for (int m = 0; m <= L_MAX; m++) {
        for (int e = 0; e < EDGES; e++) q[m][m][e] = m ? (2 * m - 1) * q[m - 1][m - 1][e] : 1;
        if (m < L_MAX)
            for (int e = 0; e < EDGES; e++) q[m + 1][m][e] = (2 * m + 1) * near->z[e] * q[m][m][e];
        for (int l = m + 2; l <= L_MAX; l++) {
            const REAL up = (REAL)(2 * l - 1) / (l - m), down = (REAL)(l + m - 1) / (l - m);
            for (int e = 0; e < EDGES; e++) q[l][m][e] = up * near->z[e] * q[l - 1][m][e] - down * q[l - 2][m][e];
        }
    }
    REAL cosine[EDGES], sine[EDGES], cosine_before[EDGES], sine_before[EDGES];
    for (int e = 0; e < EDGES; e++) cosine[e] = 1, sine[e] = cosine_before[e] = sine_before[e] = 0;
    for (int m = 0; m <= L_MAX; m++) {
        for (int l = m; l <= L_MAX; l++) {
            const REAL norm = shape->norms[l * (L_MAX + 1) + m];
            const int place = l * l + (m ? 2 * m - 1 : 0);
            for (int e = 0; e < EDGES; e++) {
                const REAL own = norm * q[l][m][e];
                near->angular[place][e] = own * cosine[e];
                if (m) near->angular[place + 1][e] = own * sine[e];
            }
            if (!with_slopes) continue;
            for (int e = 0; e < EDGES; e++) {
                const REAL own = m * norm * q[l][m][e];
                const REAL below = l > m ? norm * (l + m) * q[l - 1][m][e] : 0;
                const REAL beside = l > m + 1 ? -norm * q[l - 1][m + 1][e] : 0;
                near->gradient[place][0][e] = own * cosine_before[e] + near->x[e] * beside * cosine[e];
                near->gradient[place][1][e] = -own * sine_before[e] + near->y[e] * beside * cosine[e];
                near->gradient[place][2][e] = below * cosine[e];
                if (m) {
                    near->gradient[place + 1][0][e] = own * sine_before[e] + near->x[e] * beside * sine[e];
                    near->gradient[place + 1][1][e] = own * cosine_before[e] + near->y[e] * beside * sine[e];
                    near->gradient[place + 1][2][e] = below * sine[e];
                }
            }
        }
        for (int e = 0; e < EDGES; e++) {
            cosine_before[e] = cosine[e], sine_before[e] = sine[e];
            cosine[e] = near->x[e] * cosine_before[e] - near->y[e] * sine_before[e];
            sine[e] = near->x[e] * sine_before[e] + near->y[e] * cosine_before[e];
        }
    }
    return edge;
}

static const Channels *mixing_of(const Shape *shape, int64_t centre, int64_t kind)
{
    return (const Channels *)(shape->mixing + (centre * shape->n_elements + kind) * N_RADIAL * CHANNELS);
}

/* Densities of the neighbours, and their pointwise products on the sphere. */
static void expand(const Shape *shape, const REAL *vectors, const int64_t *kinds, int64_t centre, int64_t begin,
                   int64_t end, Atom *atom)
{
    Neighbours near;
    memset(atom, 0, sizeof *atom);
    for (int64_t edge = begin; edge < end;) {
        edge = gather(shape, vectors, kinds, centre, edge, end, &near, 0);
        for (int e = 0; e < near.n; e++) {
            const Channels *mixing = mixing_of(shape, centre, kinds[near.edge[e]]);
            Channels radial = {0};
            for (int n = 0; n < N_RADIAL; n++) radial += near.value[n][e] * mixing[n];
            for (int lm = 0; lm < N_HARMONICS; lm++) atom->density[lm] += near.angular[lm][e] * radial;
        }
    }
    for (int lm = 0; lm < N_PRODUCT; lm++)
        for (int c = 0; c < PRODUCTS; c++) {
            atom->a[lm][c] = atom->density[lm][shape->left[c]];
            atom->b[lm][c] = atom->density[lm][shape->right[c]];
        }
    for (int64_t t = 0; t < shape->n_gaunt; t++) {
        const int64_t i = shape->gaunt_at[3 * t], j = shape->gaunt_at[3 * t + 1], k = shape->gaunt_at[3 * t + 2];
        atom->product[k] += shape->gaunt[t] * (atom->a[i] * atom->b[j] + atom->a[j] * atom->b[i]);
    }
}

/* Rotation-invariant scalar products, in the order of expansion.py. */
static void contract(const Atom *atom, REAL *value)
{
    for (int q = 0; q < CHANNELS; q++) *value++ = atom->density[0][q];
    for (int l = 0; l <= L_MAX; l++)
        for (int u = 0; u < CHANNELS; u++) {
            Channels sum = {0};
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) sum += atom->density[lm][u] * atom->density[lm];
            for (int v = u; v < CHANNELS; v++) *value++ = sum[v];
        }
    for (int l = 0; l <= L_PRODUCT; l++)
        for (int u = 0; u < CHANNELS; u++) {
            Products sum = {0};
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) sum += atom->density[lm][u] * atom->product[lm];
            *(Products *)value = sum;
            value += PRODUCTS;
        }
    for (int l = 0; l <= L_PRODUCT; l++)
        for (int c = 0; c < PRODUCTS; c++) {
            Products sum = {0};
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) sum += atom->product[lm][c] * atom->product[lm];
            for (int d = c; d < PRODUCTS; d++) *value++ = sum[d];
        }
}

/* ∂/∂density from ∂/∂feature. */
static void adjoint(const Shape *shape, const Atom *atom, const Lanes *slope, Lanes back[N_HARMONICS][CHANNELS])
{
    static _Thread_local Lanes through[N_PRODUCT][PRODUCTS], da[N_PRODUCT][PRODUCTS], db[N_PRODUCT][PRODUCTS];
    memset(through, 0, sizeof through), memset(da, 0, sizeof da), memset(db, 0, sizeof db);
    const Lanes *first = slope;
    slope += CHANNELS;
    for (int l = 0; l <= L_MAX; l++) {
        Lanes both[CHANNELS][CHANNELS];
        for (int u = 0; u < CHANNELS; u++)
            for (int v = u; v < CHANNELS; v++) {
                const Lanes own = *slope++;
                if (u == v) both[u][u] = own + own;
                else both[u][v] = both[v][u] = own;
            }
        for (int u = 0; u < CHANNELS; u++)
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
                Lanes sum = {0};
                for (int v = 0; v < CHANNELS; v++) sum += atom->density[lm][v] * both[u][v];
                back[lm][u] = sum;
            }
    }
    for (int q = 0; q < CHANNELS; q++) back[0][q] += first[q];
    for (int l = 0; l <= L_PRODUCT; l++)
        for (int u = 0; u < CHANNELS; u++, slope += PRODUCTS)
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
                Lanes sum = {0};
                for (int c = 0; c < PRODUCTS; c++) {
                    sum += atom->product[lm][c] * slope[c];
                    through[lm][c] += atom->density[lm][u] * slope[c];
                }
                back[lm][u] += sum;
            }
    for (int l = 0; l <= L_PRODUCT; l++) {
        Lanes both[PRODUCTS][PRODUCTS];
        for (int c = 0; c < PRODUCTS; c++)
            for (int d = c; d < PRODUCTS; d++) {
                const Lanes own = *slope++;
                if (c == d) both[c][c] = own + own;
                else both[c][d] = both[d][c] = own;
            }
        for (int c = 0; c < PRODUCTS; c++)
            for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
                Lanes sum = {0};
                for (int d = 0; d < PRODUCTS; d++) sum += atom->product[lm][d] * both[c][d];
                through[lm][c] += sum;
            }
    }
    for (int64_t t = 0; t < shape->n_gaunt; t++) {
        const int64_t i = shape->gaunt_at[3 * t], j = shape->gaunt_at[3 * t + 1], k = shape->gaunt_at[3 * t + 2];
        const Products ai = shape->gaunt[t] * atom->a[i], aj = shape->gaunt[t] * atom->a[j];
        const Products bi = shape->gaunt[t] * atom->b[i], bj = shape->gaunt[t] * atom->b[j];
        for (int c = 0; c < PRODUCTS; c++) {
            const Lanes own = through[k][c];
            da[i][c] += bj[c] * own;
            da[j][c] += bi[c] * own;
            db[i][c] += aj[c] * own;
            db[j][c] += ai[c] * own;
        }
    }
    for (int lm = 0; lm < N_PRODUCT; lm++)
        for (int c = 0; c < PRODUCTS; c++) {
            back[lm][shape->left[c]] += da[lm][c];
            back[lm][shape->right[c]] += db[lm][c];
        }
}

/* ∂/∂(vector to a neighbour). R(r) Y(u): the gradient of the solid harmonic less its radial part, and R' along u. */
static void pull(const Shape *shape, const Neighbours *near, int e, int64_t centre, int64_t kind,
                 const Lanes back[N_HARMONICS][CHANNELS], Lanes pulls[3])
{
    const Channels *mixing = mixing_of(shape, centre, kind);
    Channels radial = {0}, along = {0};
    for (int n = 0; n < N_RADIAL; n++) {
        radial += near->value[n][e] * mixing[n];
        along += near->slope[n][e] * mixing[n];
    }
    radial /= near->r[e];
    Lanes px = {0}, py = {0}, pz = {0}, grow = {0};
    for (int l = 0; l <= L_MAX; l++) {
        for (int lm = l * l; lm < (l + 1) * (l + 1); lm++) {
            Lanes turn = {0}, own = {0};
            for (int q = 0; q < CHANNELS; q++) {
                turn += radial[q] * back[lm][q];
                own += along[q] * back[lm][q];
            }
            px += near->gradient[lm][0][e] * turn;
            py += near->gradient[lm][1][e] * turn;
            pz += near->gradient[lm][2][e] * turn;
            grow += near->angular[lm][e] * own;
        }
        along -= radial;
    }
    pulls[0] = px + near->x[e] * grow;
    pulls[1] = py + near->y[e] * grow;
    pulls[2] = pz + near->z[e] * grow;
}

/* Features (n, features) of the atoms begin … end − 1. */
void features(const Shape *shape, int64_t begin, int64_t end, const REAL *vectors, const int64_t *kinds,
              const int64_t *starts, const int64_t *centres, int64_t n_features, REAL *value)
{
    Atom atom;
    for (int64_t i = begin; i < end; i++) {
        expand(shape, vectors, kinds, centres[i], starts[i], starts[i + 1], &atom);
        contract(&atom, value + (i - begin) * n_features);
    }
}

/* Adds ∂/∂position to gradient (all atoms, 3, LANES); sets virial (n, 3, 3, LANES) to Σ r ⊗ ∂/∂r.
 * slopes (columns, n, features): ∂/∂feature, columns ≤ LANES. */
void forces(const Shape *shape, int64_t begin, int64_t end, const REAL *vectors, const int64_t *kinds,
            const int64_t *neighbours, const int64_t *starts, const int64_t *centres, int64_t n_features,
            int64_t columns, const REAL *slopes, Lanes *gradient, Lanes *virial)
{
    Atom atom;
    Neighbours near;
    Lanes own[n_features], back[N_HARMONICS][CHANNELS], pulls[3];
    memset(own, 0, sizeof own);
    for (int64_t i = begin; i < end; i++) {
        const int64_t centre = centres[i];
        for (int64_t k = 0; k < columns; k++) {
            const REAL *slope = slopes + (k * (end - begin) + i - begin) * n_features;
            for (int64_t f = 0; f < n_features; f++) own[f][k] = slope[f];
        }
        expand(shape, vectors, kinds, centre, starts[i], starts[i + 1], &atom);
        adjoint(shape, &atom, own, back);
        Lanes total[3] = {{0}, {0}, {0}}, turned[3][3];
        memset(turned, 0, sizeof turned);
        for (int64_t edge = starts[i]; edge < starts[i + 1];) {
            edge = gather(shape, vectors, kinds, centre, edge, starts[i + 1], &near, 1);
            for (int e = 0; e < near.n; e++) {
                pull(shape, &near, e, centre, kinds[near.edge[e]], back, pulls);
                Lanes *other = gradient + 3 * neighbours[near.edge[e]];
                for (int d = 0; d < 3; d++) {
                    other[d] += pulls[d];
                    total[d] += pulls[d];
                    const Lanes scaled = near.r[e] * pulls[d];
                    turned[0][d] += near.x[e] * scaled;
                    turned[1][d] += near.y[e] * scaled;
                    turned[2][d] += near.z[e] * scaled;
                }
            }
        }
        for (int d = 0; d < 3; d++) gradient[3 * i + d] -= total[d];
        memcpy(virial + 9 * (i - begin), turned, sizeof turned);
    }
}

/* Adds the derivatives of combinations of features, images of one atom together, to rows and virial.
 * matrix (elements, features, blocks, LANES); places (edges): which row of the centre an edge leads to, itself being 0;
 * rows (n, near, 3, blocks, LANES); virial (n, 3, 3, blocks, LANES). */
void jacobian(const Shape *shape, int64_t begin, int64_t end, const REAL *vectors, const int64_t *kinds,
              const int64_t *places, const int64_t *starts, const int64_t *centres, int64_t n_features,
              int64_t blocks, const Lanes *matrix, int64_t n_near, Lanes *rows, Lanes *virial)
{
    Atom atom;
    Neighbours near;
    Lanes own[n_features], back[N_HARMONICS][CHANNELS], pulls[3];
    for (int64_t i = begin; i < end; i++) {
        const int64_t centre = centres[i], row = i - begin;
        expand(shape, vectors, kinds, centre, starts[i], starts[i + 1], &atom);
        for (int64_t block = 0; block < blocks; block++) {
            for (int64_t f = 0; f < n_features; f++) own[f] = matrix[(centre * n_features + f) * blocks + block];
            adjoint(shape, &atom, own, back);
            for (int64_t edge = starts[i]; edge < starts[i + 1];) {
                edge = gather(shape, vectors, kinds, centre, edge, starts[i + 1], &near, 1);
                for (int e = 0; e < near.n; e++) {
                    pull(shape, &near, e, centre, kinds[near.edge[e]], back, pulls);
                    const REAL arm[3] = {near.r[e] * near.x[e], near.r[e] * near.y[e], near.r[e] * near.z[e]};
                    for (int d = 0; d < 3; d++) {
                        rows[((row * n_near) * 3 + d) * blocks + block] -= pulls[d];
                        rows[((row * n_near + places[near.edge[e]]) * 3 + d) * blocks + block] += pulls[d];
                        for (int c = 0; c < 3; c++) virial[(row * 9 + 3 * c + d) * blocks + block] += arm[c] * pulls[d];
                    }
                }
            }
        }
    }
}
