#include "plugin.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

static cv::Mat noise(int rows, int columns)
{
    cv::Mat image(rows, columns, CV_32F);
    cv::RNG random(42);
    random.fill(image, cv::RNG::UNIFORM, 0, 256);
    return image;
}

// As one sums it up by hand, inside of the border.
static float neighbours(const cv::Mat &image, const cv::Mat &kernel, int y,
                        int x)
{
    double sum = 0;
    for (int dy = 0; dy < 5; dy++)
        for (int dx = 0; dx < 5; dx++)
            sum += kernel.at<float>(dy, dx)
                 * image.at<float>(y + dy - 2, x + dx - 2);
    return (float)sum;
}

static void filters()
{
    const cv::Mat image = noise(480, 640);
    cv::Mat line = cv::getGaussianKernel(5, 1.2, CV_32F);
    cv::Mat kernel = line * line.t(), filtered, blurred;
    cv::filter2D(image, filtered, -1, kernel);
    for (int y = 2; y < 478; y += 7)
        for (int x = 2; x < 638; x += 5)
            check(std::abs(filtered.at<float>(y, x)
                           - neighbours(image, kernel, y, x)) < 0.01,
                  "a pixel is not the sum over its neighbours");
    cv::GaussianBlur(image, blurred, cv::Size(5, 5), 1.2);
    check(cv::norm(filtered, blurred, cv::NORM_INF) < 0.01,
          "two ways to the same image");

    cv::Mat median, edges, big, bytes;
    image.convertTo(bytes, CV_8U);
    cv::medianBlur(bytes, median, 5);
    cv::Canny(median, edges, 50, 150);
    check(cv::countNonZero(edges) > 1000, "there are no edges");
    cv::resize(bytes, big, cv::Size(), 2, 2, cv::INTER_NEAREST);
    check(cv::sum(big)[0] == 4 * cv::sum(bytes)[0], "an image twice as large");
}

// By as many threads as there are.
static void threads()
{
    cv::Mat squares(2000, 100, CV_64F);
    cv::setNumThreads(4);
    cv::parallel_for_(cv::Range(0, squares.rows), [&](const cv::Range &part) {
        for (int y = part.start; y < part.end; y++)
            squares.row(y).setTo((double)y * y);
    });
    check(cv::sum(squares)[0] == 100.0 * 1999 * 2000 * 3999 / 6, "threads");
}

static void algebra(const std::string &folder)
{
    cv::Mat matrix = noise(60, 60), product, values, spectrum, back;
    cv::invert(matrix, product, cv::DECOMP_SVD);
    product = product * matrix;
    check(cv::norm(product, cv::Mat::eye(60, 60, CV_32F)) < 0.05, "an inverse");
    cv::dft(matrix, spectrum, cv::DFT_COMPLEX_OUTPUT);
    cv::dft(spectrum, back,
            cv::DFT_INVERSE | cv::DFT_SCALE | cv::DFT_REAL_OUTPUT);
    check(cv::norm(back, matrix, cv::NORM_INF) < 0.01, "a Fourier transform");

    cv::FileStorage out(folder + "/matrix.yml.gz", cv::FileStorage::WRITE);
    out << "matrix" << matrix << "name" << "noise";
    out.release();
    cv::FileStorage in(folder + "/matrix.yml.gz", cv::FileStorage::READ);
    in["matrix"] >> values;
    check((std::string)in["name"] == "noise", "a stored name");
    check(cv::norm(values, matrix, cv::NORM_INF) == 0, "a stored matrix");
}

// OpenCV throws, and says so on the error stream unless told otherwise.
static void errors()
{
    bool caught = false;
    cv::redirectError([](int, const char *, const char *, const char *, int,
                         void *) { return 0; });
    try {
        const cv::Mat wide = cv::Mat::eye(2, 3, CV_32F);
        cv::Mat product = wide * wide;
    } catch (const cv::Exception &error) {
        caught = error.code == cv::Error::StsAssert
              || error.code == cv::Error::StsBadSize;
    }
    check(caught, "an error is not caught");
}

static std::string run(const std::string &folder)
{
    filters();
    threads();
    algebra(folder);
    errors();
    return "640 x 480 pixels filtered, a matrix inverted, an error caught";
}
