// What points are worth.

const char *rank_of(int points)
{
    return points < 100 ? "novice" : points < 200 ? "adept" : "master";
}
